//! The suite's side of a run: our hubs, and the contents that the hub under test was given.
//!
//! Owns: coming in, going away, what cases share. Not here: what is judged.
//! Invariant: whatever a case makes goes with the case; whatever the suite puts into the channel goes at the end.
//! Spec: ID-12, ID-13, ID-18.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::actor::{Actor, Packet, Shared};
use crate::case::{Miss, Outcome, Want, need};
use crate::comparison::Comparison;
use crate::content::{Content, MIB};
use crate::entry::{Entry, name};
use crate::keys::{Key, now, random};
use crate::target::Target;
use crate::watch::Watch;
use crate::wire::{Reply, Value, list, map};

/// What a run has; clones are the same one.
#[derive(Clone)]
pub struct World(Arc<Parts>);

struct Parts {
    shared: Arc<Shared>,
    /// Site keys: one may have several URLs, each of which makes another hub.
    keys: Vec<Key>,
    me: Actor,
    visitors: Mutex<Vec<Actor>>,
    library: OnceCell<Library>,
    comparison: OnceCell<Comparison>,
}

/// Contents that the hub under test has fetched from us, each as a file of the channel.
pub struct Library {
    /// Without a byte.
    pub empty: Book,
    /// One byte.
    pub byte: Book,
    /// One whole chunk.
    pub chunk: Book,
    /// A chunk and a byte.
    pub two: Book,
    /// Some chunks, the last one short.
    pub several: Book,
    /// So many chunks that their digests do not travel with the announcement (FILE-14).
    pub many: Book,
}

impl Library {
    /// All of them.
    pub fn all(&self) -> [&Book; 6] {
        [&self.empty, &self.byte, &self.chunk, &self.two, &self.several, &self.many]
    }
}

/// A file that both have.
#[derive(Clone)]
pub struct Book {
    /// As it was announced.
    pub entry: Entry,
    /// Its bytes.
    pub content: Arc<Content>,
}

impl Book {
    /// The fields that name its content.
    pub fn item(&self) -> Value {
        map([
            ("resource", self.entry.hash().into()),
            ("role", "file".into()),
            ("root", self.content.root.into()),
        ])
    }

    /// An item of a `chunk-request`: so many chunks from one on.
    pub fn chunks(&self, first: u32, count: u32) -> Value {
        let range = map([("first", first.into()), ("count", count.into())]);
        self.item().with("ranges", list([range]))
    }

    /// The path of its stream.
    pub fn path(&self) -> String {
        format!("/zot/file/{}/file/{}", self.entry.hash(), self.content.hex())
    }
}

impl World {
    /// Looks who is there, and comes in as a clone of the test channel.
    pub async fn enter(target: Target) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|e| e.to_string())?;
        let hub = target.hub(&http).await?;
        let channel = target.key.channel(&target.guid);
        let watch = Watch::of(&target.key);
        let shared = Arc::new(Shared { target, hub, channel, http, watch });
        let making = (0..2).map(|_| tokio::task::spawn_blocking(Key::new)).collect::<Vec<_>>();
        let mut keys = Vec::new();
        for key in making {
            keys.push(key.await.map_err(|e| e.to_string())??);
        }
        let me = Actor::new(&shared, keys[0].clone()).await?;
        let (visitors, library, comparison) = (Mutex::default(), OnceCell::new(), OnceCell::new());
        let parts = Parts { shared, keys, me, visitors, library, comparison };
        let world = Self(Arc::new(parts));
        world.list(world.me()).await.map_err(|miss| match miss {
            Miss::Failed(why) | Miss::Skipped(why) => format!("the suite is not let in: {why}"),
        })?;
        Ok(world)
    }

    /// Our first hub, a listed clone from the beginning to the end.
    pub fn me(&self) -> &Actor {
        &self.0.me
    }

    /// What all our hubs have in common.
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// The test channel's key.
    pub fn channel_key(&self) -> &Key {
        &self.0.shared.target.key
    }

    /// A site key that is not our first hub's.
    pub fn other_key(&self) -> &Key {
        &self.0.keys[1]
    }

    /// A hub that the one under test has not heard of. It stays until it is told to leave.
    pub async fn guest(&self) -> Result<Actor, String> {
        Actor::new(&self.0.shared, self.other_key().clone()).await
    }

    /// A hub of ours leaves.
    pub async fn farewell(&self, actor: &Actor) -> Outcome {
        Ok(leave(actor).await?)
    }

    /// A hub that the one under test has not heard of. It leaves when the case is over.
    pub async fn stranger(&self) -> Result<Actor, String> {
        let actor = self.guest().await?;
        let mut visitors = self.0.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        visitors.push(actor.clone());
        Ok(actor)
    }

    /// Another listed clone. It leaves when the case is over.
    pub async fn second(&self) -> Result<Actor, Miss> {
        let actor = self.stranger().await?;
        self.list(&actor).await?;
        Ok(actor)
    }

    /// Introduces a hub, lets it be challenged, and waits until it is listed.
    pub async fn list(&self, actor: &Actor) -> Outcome {
        let place = actor.state(&actor.lives(true).place());
        let body = actor.packet("locations", [("records", list([place.clone()]))]);
        let reply = actor.introduce(&body, &place).await?;
        Want::Packet("locations").check(&reply)?;
        let is_challenge = |packet: &Packet| packet.kind == "challenge" && packet.holds;
        actor
            .came("a challenge to a hub that was introduced", |incoming| {
                incoming.packet.as_ref().filter(|packet| is_challenge(packet)).map(drop)
            })
            .await?;
        // What a clone may do and others may not tells that the hub has listed it.
        let mut patience = self.patience("the hub lists who has answered its challenge");
        loop {
            let none = || list(Vec::<Value>::new());
            let body = actor.packet("sync-report", [("operations", none()), ("present", none())]);
            if matches!(actor.ask(&body).await?, Reply::Packet { .. }) {
                return Ok(());
            }
            patience.next().await?;
        }
    }

    /// To look again and again for something that the hub does on its own.
    pub fn patience(&self, what: &str) -> Patience {
        Patience { what: what.to_owned(), begin: now(), left: self.me().patience(), pause: 10 }
    }

    /// Announces operations of a hub of ours; the report's elements.
    pub async fn sync(&self, actor: &Actor, operations: Vec<Value>) -> Result<Vec<Value>, Miss> {
        let count = operations.len();
        let body = actor.packet("clone-sync", [("operations", list(operations))]);
        let reply = actor.ask(&body).await?;
        Want::Packet("sync-report").check(&reply)?;
        let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
        let reports = body.list("operations").to_vec();
        need(
            reports.len() == count,
            format_args!("SYNC-8: {} reports for {count} operations", reports.len()),
        )?;
        Ok(reports)
    }

    /// Announces an entry as stored, serves its content, and waits until the hub reports it as present.
    pub async fn give(&self, actor: &Actor, entry: &Entry, content: &Arc<Content>) -> Outcome {
        actor.serve(content);
        let reports = self.sync(actor, vec![entry.operation("put")]).await?;
        let status = reports[0].text("status").unwrap_or_default().to_owned();
        need(status == "stored", format_args!("the announcement of a file is {status}"))?;
        self.present(actor, entry, content).await
    }

    /// Waits until the hub reports a content as present.
    pub async fn present(&self, actor: &Actor, entry: &Entry, content: &Content) -> Outcome {
        let hash = entry.hash();
        let named = |data: &Value| {
            data.text("resource") == Some(hash) && data.bin("root") == Some(&content.root)
        };
        let what = format!("the hub reports {} bytes as present", content.size());
        actor
            .came(&what, |incoming| {
                let packet = incoming.packet.as_ref().filter(|p| p.kind == "sync-report")?;
                packet.body.list("present").iter().any(named).then_some(())
            })
            .await?;
        Ok(())
    }

    /// What the hub under test has of ours; given to it when it is first asked for.
    pub async fn library(&self) -> Result<&Library, Miss> {
        let found = self.0.library.get_or_try_init(|| async { self.fill().await }).await;
        found.map_err(|miss: Miss| match miss {
            Miss::Failed(why) => {
                Miss::Failed(format!("the hub does not take what we give it: {why}"))
            }
            skipped @ Miss::Skipped(_) => skipped,
        })
    }

    /// What came of a comparison that the hub made; it is waited for when it is first asked for.
    pub async fn comparison(&self) -> Result<&Comparison, Miss> {
        self.0.comparison.get_or_try_init(|| Comparison::run(self)).await
    }

    async fn fill(&self) -> Result<Library, Miss> {
        let book = |what: &str, len: usize| {
            let content = Arc::new(Content::noise(len));
            let entry = Entry::file(self.me(), &name(what), &content);
            self.me().serve(&content);
            Book { entry, content }
        };
        let library = Library {
            empty: book("empty", 0),
            byte: book("byte", 1),
            chunk: book("chunk", MIB),
            two: book("two chunks", MIB + 1),
            several: book("several chunks", 3 * MIB + 12_345),
            many: book("many chunks", 33 * MIB + 7),
        };
        let books = library.all();
        let operations = books.iter().map(|book| book.entry.operation("put")).collect();
        for report in self.sync(self.me(), operations).await? {
            let status = report.text("status").unwrap_or_default();
            need(status == "stored", format_args!("the announcement of a file is {status}"))?;
        }
        for book in books {
            self.present(self.me(), &book.entry, &book.content).await?;
        }
        Ok(library)
    }

    /// Stops the hub under test and starts it again, where the suite was told how.
    pub async fn restart(&self) -> Outcome {
        let Some(restart) = &self.0.shared.target.restart else {
            return Err(Miss::Skipped("needs --restart COMMAND, to stop and start the hub".into()));
        };
        restart().await?;
        let mut patience = self.patience("the hub answers after its restart");
        loop {
            let hub = self.0.shared.target.hub(&self.0.shared.http).await;
            if hub.is_ok_and(|hub| hub.site == self.shared().hub.site) {
                return Ok(());
            }
            patience.next().await?;
        }
    }

    /// After a case: what it made goes.
    pub async fn after_case(&self) {
        let visitors = {
            let mut visitors = self.0.visitors.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *visitors)
        };
        for visitor in visitors {
            leave(&visitor).await.ok();
        }
        self.me().honest();
    }

    /// At the end: our entries are removed, our hubs leave.
    pub async fn close(&self) -> Result<(), String> {
        self.after_case().await;
        crate::sweep::sweep(self).await?;
        leave(self.me()).await
    }
}

/// How long something may still take.
pub struct Patience {
    what: String,
    begin: u64,
    left: Duration,
    pause: u64,
}

impl Patience {
    /// Waits a little; an error when it has taken too long.
    pub async fn next(&mut self) -> Outcome {
        if u128::from(now().saturating_sub(self.begin)) > self.left.as_millis() {
            let (seconds, what) = (self.left.as_secs(), &self.what);
            return Err(Miss::Failed(format!("in vain for {seconds} s: {what}")));
        }
        // Asleep between looks: a hub that is not ours has no event to wait for.
        tokio::time::sleep(Duration::from_millis(self.pause)).await;
        self.pause = (self.pause * 2).min(250);
        Ok(())
    }
}

/// A hub of ours states that the channel has left it.
async fn leave(actor: &Actor) -> Result<(), String> {
    let gone = actor.state(&actor.lives(false).place());
    let body = actor.packet("locations", [("records", list([gone]))]);
    // A hub that was never listed is refused, which is as good.
    actor.ask(&body).await.map(drop)
}

/// Bytes that name nothing.
pub fn nothing() -> [u8; 32] {
    random()
}
