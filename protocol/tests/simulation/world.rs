//! Virtual time: what happens next, and to whom.

use std::collections::BTreeMap;

use bytes::Bytes;
use zotferry_protocol::ids::{Digest, Millis};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle;
use zotferry_protocol::pacing::How;
use zotferry_protocol::transfer::Ticket;

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::origin::{Answer, Ask, Ending, Origin, OwnedHead};
use crate::queue::Queue;
use crate::receiver::Receiver;
use crate::rng::Rng;
use crate::scenario::{Scenario, Trouble};

const START: u64 = 1_700_000_000_000;
/// Everything is over by then, or it never will be: 30 days in ms.
const DEADLINE: u64 = START + 30 * 24 * 3_600_000;
/// More happens in no run.
const MOST_EVENTS: u64 = 2_000_000;
/// Trouble comes within this time in ms.
const TROUBLED: u64 = 20_000;

#[derive(Debug)]
pub(crate) enum Event {
    Ask {
        connection: u64,
        origin: usize,
        ask: Ask,
    },
    AskPage {
        receiver: u32,
        origin: usize,
        page: u32,
    },
    Answer {
        connection: u64,
        origin: usize,
        part: Part,
    },
    /// Something local to one run of the receiver's process.
    Local {
        receiver: u32,
        what: Local,
    },
    Outage {
        origin: usize,
        up: bool,
    },
    Stop(Stop),
    Start {
        clean: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Part {
    Status(How),
    Head(Option<OwnedHead>),
    Piece(Bytes),
    Over(Ending),
}

#[derive(Debug)]
pub(crate) enum Local {
    Wake,
    Wrote { chunk: u32, file: u32 },
    WriteFailed { chunk: u32, file: u32 },
    Synced { ticket: Ticket, file: u32, ok: bool },
    ReadBack(ChunkRange),
    Page { page: u32, proof: Option<(Vec<Digest>, Vec<Digest>)> },
    PageAgain(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Graceful,
    Killed,
    PowerLost,
    /// Killed, and the queue does not open again.
    QueueLost,
}

/// All but the receiver's process: what is durable, what is elsewhere, and the agenda.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) now: Millis,
    pub(crate) rng: Rng,
    pub(crate) scenario: Scenario,
    pub(crate) disk: Disk,
    pub(crate) queue: Queue,
    /// Pages of digests in storage.
    pub(crate) pages: BTreeMap<u32, Vec<Digest>>,
    pub(crate) ledger: Ledger,
    agenda: BTreeMap<(Millis, u64), Event>,
    sequence: u64,
}

impl Outside {
    /// Something happens so many ms from now.
    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.sequence += 1;
        self.agenda.insert((self.now.plus(ms), self.sequence), event);
    }

    /// A trip over the network, longer at times.
    pub(crate) fn trip(&mut self) -> u64 {
        let latency = self.scenario.latency;
        let late = self.rng.permille(50);
        latency + self.rng.range(0..latency + 1) * if late { 10 } else { 1 }
    }

    /// Whether the disk fails now, as it does so often of 1000 times, for a while.
    pub(crate) fn disk_fails(&mut self, rate: u64) -> bool {
        let troubled = self.scenario.trouble.disk && self.now.0 < START + TROUBLED;
        troubled && self.rng.permille(rate)
    }
}

/// Origins on one side, one receiver on the other.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) outside: Outside,
    origins: Vec<Origin>,
    receiver: Option<Receiver>,
    starts: u32,
}

impl World {
    pub(crate) fn new(seed: u64, trouble: Trouble) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::drawn(&mut rng, trouble);
        let origins = scenario.manners.iter().cloned().map(Origin::new).collect();
        let outside = Outside {
            now: Millis(START),
            rng,
            disk: Disk::new(&scenario.file),
            queue: Queue::default(),
            pages: BTreeMap::new(),
            ledger: Ledger::new(&scenario.file),
            scenario,
            agenda: BTreeMap::new(),
            sequence: 0,
        };
        let mut world = Self { outside, origins, receiver: None, starts: 0 };
        world.plan_trouble();
        world.outside.after(0, Event::Start { clean: true });
        world
    }

    /// Runs until the file is there, and gives the books.
    pub(crate) fn run(mut self) -> Ledger {
        while !self.outside.ledger.committed {
            let next = self.outside.agenda.pop_first();
            let ((at, sequence), event) = next.expect("nothing would ever happen again");
            let ends = at.0 < DEADLINE && sequence < MOST_EVENTS;
            assert!(ends, "no end at {at:?}: {:?}", self.receiver);
            self.outside.now = at;
            self.outside.ledger.note(at.0 ^ sequence << 48);
            self.happen(event);
        }
        self.outside.ledger
    }

    fn plan_trouble(&mut self) {
        let out = &mut self.outside;
        let within = out.rng.pick(&[1000, 5000, TROUBLED]);
        for _ in 0..out.rng.range(0..4) {
            let crash = out.rng.pick(&[Stop::Killed, Stop::PowerLost, Stop::QueueLost]);
            let stop = if out.rng.permille(300) { Stop::Graceful } else { crash };
            let at = out.rng.range(0..within);
            let again = at + out.rng.range(0..within);
            if out.scenario.trouble.crashes {
                out.after(at, Event::Stop(crash));
                out.after(again, Event::Stop(stop));
            } else if out.scenario.trouble.network {
                out.after(at, Event::Stop(Stop::Graceful));
            }
        }
        if out.scenario.trouble.vanishing {
            let at = out.rng.range(1..1500);
            out.after(at, Event::Outage { origin: 0, up: false });
        }
        for _ in 0..out.rng.range(0..4) {
            let origin = out.rng.range(0..self.origins.len() as u64) as usize;
            let at = out.rng.range(0..within);
            let long = out.rng.range(1..within);
            if out.scenario.trouble.network {
                out.after(at, Event::Outage { origin, up: false });
                out.after(at + long, Event::Outage { origin, up: true });
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { connection, origin, ask } => self.answer(connection, origin, &ask),
            Event::AskPage { receiver, origin, page } => self.answer_page(receiver, origin, page),
            Event::Outage { origin, up } => self.outage(origin, up),
            Event::Stop(stop) => self.stop(stop),
            Event::Start { clean } => self.start(clean),
            Event::Answer { connection, origin, part } => {
                if matches!(part, Part::Over(_)) {
                    let busy = &mut self.origins[origin].in_flight;
                    *busy = busy.saturating_sub(1);
                }
                self.receiver(|receiver, out| receiver.answered(out, connection, part));
            }
            Event::Local { receiver: number, what } => {
                let current = |receiver: &Receiver| receiver.number == number;
                if self.receiver.as_ref().is_some_and(current) {
                    self.receiver(|receiver, out| receiver.local(out, what));
                }
            }
        }
    }

    fn receiver(&mut self, act: impl FnOnce(&mut Receiver, &mut Outside)) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        act(receiver, &mut self.outside);
        receiver.go_on(&mut self.outside);
        if let Some(clean) = receiver.has_stopped() {
            self.outside.ledger.restarts += 1;
            self.outside.queue.reopened();
            self.receiver = None;
            self.outside.after(1000, Event::Start { clean });
        }
    }

    fn answer(&mut self, connection: u64, origin: usize, ask: &Ask) {
        let out = &mut self.outside;
        let answer = self.origins[origin].answer(&mut out.rng, &out.scenario.file, ask);
        let mut at = out.trip();
        let say = |out: &mut Outside, at, part| {
            out.after(at, Event::Answer { connection, origin, part });
        };
        match answer {
            Answer::Nothing => say(out, 5000, Part::Status(How::TimedOut)),
            Answer::Status(how) => say(out, at, Part::Status(how)),
            Answer::Body { head, pieces, ending } => {
                self.origins[origin].in_flight += 1;
                say(out, at, Part::Head(head));
                for piece in pieces {
                    at += out.rng.range(0..20);
                    say(out, at, Part::Piece(piece));
                }
                let silence = if ending == Ending::Stalled { 5000 } else { 0 };
                say(out, at + silence, Part::Over(ending));
            }
        }
    }

    fn answer_page(&mut self, receiver: u32, origin: usize, page: u32) {
        let out = &mut self.outside;
        let origin = &self.origins[origin];
        let lost = !origin.up || out.rng.permille(origin.manners.lost);
        let file = &out.scenario.file;
        let mut digests = file.page(page);
        if out.rng.permille(origin.manners.corrupts) {
            let at = out.rng.range(0..digests.len() as u64) as usize;
            digests[at].0[7] ^= 1;
        }
        let path = merkle::page_path(&file.page_roots, page);
        let proof = (!lost).then_some((digests, path));
        let trip = out.trip();
        out.after(trip, Event::Local { receiver, what: Local::Page { page, proof } });
    }

    fn outage(&mut self, origin: usize, up: bool) {
        self.origins[origin].up = up;
        self.origins[origin].in_flight = 0;
        if !up {
            self.receiver(|receiver, out| receiver.origin_gone(out, origin));
        }
    }

    fn stop(&mut self, stop: Stop) {
        if stop == Stop::Graceful {
            return self.receiver(Receiver::stop);
        }
        let Some(receiver) = self.receiver.take() else {
            return;
        };
        let out = &mut self.outside;
        for (chunk, bytes) in receiver.writing() {
            out.disk.tear(&out.scenario.file, chunk, bytes, &mut out.rng);
        }
        out.ledger.crashed(&out.scenario.file, &out.disk, &out.queue);
        match stop {
            Stop::PowerLost => out.disk.power_lost(&out.scenario.file, &mut out.rng),
            _ => out.disk.process_killed(),
        }
        out.queue.reopened();
        if stop == Stop::QueueLost {
            out.queue.lost();
        }
        let pause = out.rng.range(1..5000);
        out.after(pause, Event::Start { clean: false });
    }

    fn start(&mut self, clean: bool) {
        self.starts += 1;
        self.receiver = Some(Receiver::start(&mut self.outside, self.starts, clean));
        self.receiver(|_, _| {});
    }
}
