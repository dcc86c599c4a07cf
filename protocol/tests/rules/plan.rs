//! Responses that end at a byte budget are resumed without a gap and without an overlap.

use proptest::prelude::*;
use zotferry_protocol::frames::{End, MAX_FRAME, Plan, Resume, Step, Wanted};

/// A flattened list: some items, some of which cannot be served.
fn wanted_list() -> impl Strategy<Value = Vec<Wanted>> {
    let served = prop::collection::vec(1..700_000_u32, 1..4)
        .prop_map(|lens| lens.into_iter().map(Some).collect::<Vec<_>>());
    let refused = (1..4_usize).prop_map(|chunks| vec![None; chunks]);
    let items = prop::collection::vec(prop_oneof![4 => served, 1 => refused], 0..5);
    items.prop_map(|items| {
        let flatten = |(item, lens): (u32, Vec<Option<u32>>)| {
            (0..)
                .zip(lens)
                .map(move |(chunk, len)| Wanted { item, chunk, len })
        };
        (0..).zip(items).flat_map(flatten).collect()
    })
}

/// A receiver that holds only a count of what it has, as `Zot-Resume` does.
struct Receiver<'a> {
    wanted: &'a [Wanted],
    at: Resume,
    refused: Vec<u32>,
}

impl Receiver<'_> {
    /// Takes one step of the origin; each byte must be exactly the next one that is missing.
    fn take(&mut self, step: Step) -> Option<End> {
        match step {
            Step::End(end) => return Some(end),
            Step::Refuse(item) => {
                self.refused.push(item);
                let left = |chunk: &&Wanted| chunk.item == item;
                let skipped = self.wanted[self.at.chunks as usize..]
                    .iter()
                    .take_while(left)
                    .count();
                self.at = Resume {
                    chunks: self.at.chunks + skipped as u32,
                    bytes: 0,
                };
            }
            Step::Frame(frame) => {
                let next = self.wanted[self.at.chunks as usize];
                assert!((1..=MAX_FRAME).contains(&frame.len));
                assert_eq!(
                    (frame.item, frame.chunk, frame.offset),
                    (next.item, next.chunk, self.at.bytes)
                );
                self.at.bytes += frame.len;
                if Some(self.at.bytes) == next.len {
                    self.at = Resume {
                        chunks: self.at.chunks + 1,
                        bytes: 0,
                    };
                }
            }
        }
        None
    }
}

proptest! {
    /// FETCH-15 to FETCH-20: responses of any budget, each resumed by its header, deliver every byte once.
    #[test]
    fn capped_responses_join_without_gap_or_overlap(
        wanted in wanted_list(),
        budgets in prop::collection::vec(1..400_000_u64, 1..5),
    ) {
        let mut receiver = Receiver { wanted: &wanted, at: Resume::default(), refused: Vec::new() };
        for budget in budgets.iter().cycle() {
            let header: Resume = receiver.at.to_string().parse().expect("its own form");
            let plan = Plan::new(wanted.clone(), header, *budget).expect("inside the request");
            let mut sent = 0;
            let ends: Vec<_> = plan.inspect(|step| if let Step::Frame(f) = step { sent += u64::from(f.len) })
                .filter_map(|step| receiver.take(step)).collect();
            prop_assert!(sent <= *budget);
            match ends[..] {
                [End::Done] => break,
                [End::Limit] => prop_assert_eq!(sent, *budget, "a capped response uses its budget"),
                _ => prop_assert!(false, "a response ends once: {ends:?}"),
            }
        }
        prop_assert_eq!(receiver.at, Resume { chunks: wanted.len() as u32, bytes: 0 });
        let mut unservable: Vec<_> = wanted.iter().filter(|w| w.len.is_none()).map(|w| w.item).collect();
        unservable.dedup();
        prop_assert_eq!(receiver.refused, unservable);
    }
}
