//! A comparison that the hub under test makes on its own, with a clone of ours whose catalog is another one.
//!
//! Owns: that clone, what either lacks, and what came of it. Not here: what is judged (`client::comparing`).
//! Invariant: the clone answers as its catalog is, and takes what it is told; when the comparison is over, it leaves.
//! Spec: AUDIT-6 to AUDIT-13.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::actor::{Actor, Incoming};
use crate::announced::{about, settle};
use crate::case::{Miss, need};
use crate::content::Content;
use crate::entry::{Entry, edit, name};
use crate::http::Response;
use crate::keys::random;
use crate::leaves::{Leaves, digest_of, key_of, listed};
use crate::wire::{Value, list, map, read};
use crate::world::{Book, World};

/// Posts on the folder that the clone lacks: of each packet two fit.
const POSTS: usize = 6;
/// Bytes of such a post's text.
const TEXT: usize = 400_000;
/// A hub that compares with every new clone has begun by then.
const SOON: Duration = Duration::from_secs(5);

/// What came of a comparison.
pub struct Comparison {
    /// The clone of ours.
    pub clone: Actor,
    /// A file that only the clone has.
    pub file: Book,
    /// A folder that both have, as the clone has it: under a later name.
    pub renamed: Entry,
    /// A folder that only the hub has.
    pub lacking: Entry,
    /// The posts on it.
    pub posts: Vec<Value>,
}

impl Comparison {
    /// Lets the hub compare itself with a clone of ours.
    pub(crate) async fn run(world: &World) -> Result<Self, Miss> {
        let me = world.me();
        let lacking = Entry::folder(me, &name("with many posts"));
        let posts: Vec<Value> = (0..POSTS).map(|n| post(me, n)).collect();
        give(world, &lacking, &posts).await?;
        let before = Entry::folder(me, &name("to be renamed"));
        world.sync(me, vec![before.operation("put")]).await?;
        let all = Leaves(listed(me, &[]).await?.into_iter().collect());
        let clone = world.guest().await?;
        let content = Arc::new(Content::noise(40_000));
        let file =
            Book { entry: Entry::file(&clone, &name("found by comparing"), &content), content };
        let mut renamed = before.clone();
        renamed.row.set("filename", name("renamed"));
        renamed.place = edit(&before.place, &clone);
        let found = Self { clone, file, renamed, lacking, posts };
        found.answer_truly(all);
        world.list(&found.clone).await?;
        let outcome = found.wait(world).await;
        world.farewell(&found.clone).await?;
        outcome.map(|()| found)
    }

    /// The clone has what the hub has, but for what it lacks, and what only it has.
    fn answer_truly(&self, all: Leaves) {
        let mids = self.posts.iter().filter_map(|post| post.text("mid"));
        let lacking =
            mids.map(|mid| key_of("item", mid)).chain([key_of("attach", self.lacking.hash())]);
        let lacking: Vec<Vec<u8>> = lacking.collect();
        let mut own = all.clone();
        own.0.retain(|key, _| !lacking.contains(key));
        let entries = [&self.file.entry, &self.renamed];
        for entry in entries {
            own.0.insert(key_of("attach", entry.hash()), digest_of(entry));
        }
        let told = entries.map(|entry| (key_of("attach", entry.hash()), entry.operation("put")));
        let own = Arc::new(Mutex::new(own));
        self.clone.serve(&self.file.content);
        self.clone.hook(move |clone, incoming| {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            answer(clone, incoming, &mut own, &all, &told)
        });
    }

    /// Until the hub has begun, and done what it does, or time is over.
    async fn wait(&self, world: &World) -> Result<(), Miss> {
        if !self.is_asked(SOON.min(self.clone.patience())).await {
            let times = match world.restart().await {
                Ok(()) => 4,
                Err(Miss::Skipped(_)) => 1,
                Err(failed) => return Err(failed),
            };
            let mut begun = false;
            for _ in 0..times {
                begun = begun || self.is_asked(self.clone.patience()).await;
            }
            if !begun {
                let why = "the hub compares itself with no clone that is new, or after a restart (AUDIT-13)";
                return Err(Miss::Skipped(why.into()));
            }
        }
        let mut patience = world.patience("");
        while !self.is_over(world).await? && patience.next().await.is_ok() {}
        settle(world, &[world.me(), &self.clone]).await
    }

    /// Whether the hub compares itself with the clone within some time.
    async fn is_asked(&self, time: Duration) -> bool {
        let asks = |incoming: &Incoming| {
            incoming.packet.as_ref().filter(|packet| packet.kind == "audit-request").map(drop)
        };
        tokio::time::timeout(time, self.clone.came("a comparison", asks))
            .await
            .is_ok_and(|a| a.is_ok())
    }

    /// Whether everything has come to where it was not.
    async fn is_over(&self, world: &World) -> Result<bool, Miss> {
        let arrived = self.arrived(world.me());
        let renamed = hub_has(world, &self.renamed).await?;
        Ok(arrived && renamed && self.lost_posts().is_empty())
    }

    /// Whether the hub has reported the file's content to a clone.
    pub(crate) fn arrived(&self, actor: &Actor) -> bool {
        let root = Some(self.file.content.root.as_slice());
        actor
            .inbox()
            .iter()
            .filter_map(|incoming| incoming.packet.as_ref())
            .any(|packet| packet.body.list("present").iter().any(|data| data.bin("root") == root))
    }

    /// The posts that were not announced to the clone.
    pub(crate) fn lost_posts(&self) -> Vec<&Value> {
        let told = about(&self.clone, self.lacking.hash());
        let came = |post: &&Value| {
            let mid = post.text("mid");
            told.iter().flat_map(|op| op.list("item")).any(|item| item.text("mid") == mid)
        };
        self.posts.iter().filter(|post| !came(post)).collect()
    }
}

/// Whether the hub has the same leaf for an entry.
pub(crate) async fn hub_has(world: &World, entry: &Entry) -> Result<bool, Miss> {
    let leaf = crate::leaves::at_hub(world.me(), &key_of("attach", entry.hash())).await?;
    Ok(leaf.is_some_and(|leaf| leaf == digest_of(entry)))
}

/// A post of somebody else with a long text.
fn post(me: &Actor, number: usize) -> Value {
    let uuid = hex::encode(random::<16>());
    let mid = format!("{}/item/{uuid}", me.url());
    let row = map([
        ("message_id", mid.as_str().into()),
        ("uuid", uuid.into()),
        ("author_xchan", "F".repeat(86).into()),
        ("body", number.to_string().repeat(TEXT).into()),
    ]);
    map([
        ("mid", mid.into()),
        ("row", row.bytes().into()),
        ("version", crate::entry::version(me)),
        ("url", me.url().into()),
        ("nick", "conformance".into()),
    ])
}

/// ITEM-8, as a clone of ours keeps it: one operation, in as many packets as its posts need.
async fn give(world: &World, entry: &Entry, posts: &[Value]) -> Result<(), Miss> {
    let operation = entry.operation("put");
    for some in posts.chunks(2) {
        let part = operation.clone().with("item", list(some.to_vec()));
        let reports = world.sync(world.me(), vec![part]).await?;
        let status = reports[0].text("status").unwrap_or_default();
        need(status == "stored", format_args!("a folder with posts is {status}"))?;
    }
    Ok(())
}

/// What the clone answers to a comparison; from then on it has what it was told.
fn answer(
    clone: &Actor,
    incoming: &Incoming,
    own: &mut Leaves,
    all: &Leaves,
    told: &[(Vec<u8>, Value)],
) -> Option<Response> {
    let packet = incoming.packet.as_ref()?;
    match packet.kind.as_str() {
        "audit-request" => {
            Some(clone.reply(packet, "audit-page", [("ranges", own.page(&packet.body))]))
        }
        "entry-request" => {
            let asked = packet.body.list("keys");
            let is = |key: &Value, told: &[u8]| matches!(key, Value::Bin(key) if key == told);
            let found = asked.iter().filter_map(|key| told.iter().find(|(told, _)| is(key, told)));
            let found: Vec<Value> = found.map(|(_, operation)| operation.clone()).collect();
            let answer =
                || clone.reply(packet, "clone-sync", [("operations", list(found.clone()))]);
            (!found.is_empty()).then(answer)
        }
        "clone-sync" => {
            for operation in packet.body.list("operations") {
                let entries = operation.list("attach").iter().filter_map(|attach| {
                    Some(key_of("attach", read(attach.bin("row")?).ok()?.text("hash")?))
                });
                let items = operation.list("item").iter().filter_map(|item| item.text("mid"));
                for key in entries.chain(items.map(|mid| key_of("item", mid))) {
                    if let Some(digest) = all.0.get(&key).filter(|_| !own.0.contains_key(&key)) {
                        own.0.insert(key, digest.clone());
                    }
                }
            }
            None
        }
        _ => None,
    }
}
