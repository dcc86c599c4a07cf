//! What the database is asked, page by page along the keys of its tables.
//!
//! Owns: the statements. Not here: how each kind of database says a thing (`database`).
//! Invariant: a page is bounded by its number of rows; of rows with one id the first counts.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use zotferry_protocol::packets::AttachRow;

use super::AdoptError;
use super::address::Address;
use super::database::{Arg, Database, Line};
use super::people::{People, XCHAN, person};
use super::row::attach_row;
use super::table::{Fields, Table};
use crate::catalog::Channel;

/// Entries at once.
pub(super) const PAGE: usize = 256;
/// Items at once: each may have half a megabyte.
const ITEMS: usize = 64;
/// Tags of a page at most.
const TERMS: usize = 16_384;
/// Bytes of a path.
const PATH: u64 = 4096;

const ATTACH: &[&str] = &[
    "id",
    "uid",
    "hash",
    "creator",
    "filename",
    "filetype",
    "filesize",
    "revision",
    "folder",
    "flags",
    "is_dir",
    "is_photo",
    "os_storage",
    "display_path",
    "content",
    "created",
    "edited",
    "allow_cid",
    "allow_gid",
    "deny_cid",
    "deny_gid",
];
const PHOTO: &[&str] =
    &["id", "uid", "resource_id", "imgscale", "os_storage", "content", "filesize"];
const TERM: &[&str] = &["uid", "oid", "otype", "term"];
const ITEM: &[&str] = &["id", "uid", "mid", "parent", "resource_id", "attach", "item_deleted"];

/// A database that was found to be Hubzilla's and to have the channel.
pub(super) struct Queries {
    pub(super) database: Database,
    attach: Table,
    photo: Table,
    term: Table,
    item: Table,
    xchan: Table,
    uid: i64,
    /// The channel's nick there.
    pub(super) nick: String,
}

/// A line of `attach`.
pub(super) struct Entry {
    pub(super) id: i64,
    /// The row, or why it is none.
    pub(super) row: Result<AttachRow, String>,
    /// Its path as people know it.
    pub(super) place: String,
    pub(super) bytes: At,
}

/// A line of `photo`.
pub(super) struct Scale {
    pub(super) fields: Fields,
    pub(super) bytes: At,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// At a path below the store.
    Path(String),
    /// In the column `content` of a row.
    Column(&'static str, i64),
}

/// What a tag sits on.
#[derive(Clone, Copy)]
pub(super) enum Tagged {
    Entry,
    Item,
}

impl Queries {
    pub(super) async fn open(address: &Address, channel: &Channel) -> Result<Self, AdoptError> {
        let mut database = Database::open(address).await?;
        let attach = Table::of(&mut database, "attach", ATTACH).await?;
        let photo = Table::of(&mut database, "photo", PHOTO).await?;
        let term = Table::of(&mut database, "term", TERM).await?;
        let item = Table::of(&mut database, "item", ITEM).await?;
        let xchan = Table::of(&mut database, "xchan", XCHAN).await?;
        let (uid, nick) = find(&mut database, channel).await?;
        Ok(Self { database, attach, photo, term, item, xchan, uid, nick })
    }

    /// Folders, files, and bytes of files.
    pub(super) async fn count(&mut self) -> Result<(u64, u64, u64), AdoptError> {
        let texts = ["SUM(is_dir <> 0)", "SUM(is_dir = 0)", "SUM(filesize)"];
        let counts = match self.database {
            Database::Mysql(_) => texts,
            Database::Postgres(_) => [
                "COUNT(*) FILTER (WHERE is_dir <> 0)",
                "COUNT(*) FILTER (WHERE is_dir = 0)",
                texts[2],
            ],
        };
        let counts = counts.map(|count| self.database.text(&format!("COALESCE({count}, 0)")));
        let sql = format!("SELECT {} FROM attach WHERE uid = ?", counts.join(", "));
        let lines = self.database.lines(&sql, &[self.uid.into()]).await?;
        let mut numbers = lines.into_iter().flatten().map(|text| whole(text.as_deref()));
        let mut next = || numbers.next().unwrap_or(0);
        Ok((next(), next(), next()))
    }

    /// How many entries have the id of an earlier one.
    pub(super) async fn doubled(&mut self) -> Result<u64, AdoptError> {
        let count = self.database.text("COUNT(*)");
        let sql = format!("SELECT {count} FROM attach a WHERE a.uid = ? AND NOT ({FIRST})");
        self.number(&sql, &[self.uid.into()]).await
    }

    /// The folders in a folder, after a given one; the empty text is the top.
    pub(super) async fn folders_in(
        &mut self,
        folder: &str,
        after: i64,
    ) -> Result<Vec<Entry>, AdoptError> {
        let clause = "a.is_dir <> 0 AND a.folder = ?";
        self.entries("attach a", clause, &[folder.into()], after).await
    }

    /// Folders that say that they lie in one that is not there.
    pub(super) async fn lost_folders(&mut self, after: i64) -> Result<Vec<Entry>, AdoptError> {
        let clause = "a.is_dir <> 0 AND a.folder <> '' AND NOT EXISTS (
            SELECT 1 FROM attach p WHERE p.uid = a.uid AND p.hash = a.folder AND p.is_dir <> 0)";
        let table = self.database.by_key("attach", "a");
        self.entries(&table, clause, &[], after).await
    }

    /// The channel's files, after a given one.
    pub(super) async fn files(&mut self, after: i64) -> Result<Vec<Entry>, AdoptError> {
        let table = self.database.by_key("attach", "a");
        self.entries(&table, "a.is_dir = 0", &[], after).await
    }

    async fn entries(
        &mut self,
        table: &str,
        clause: &str,
        args: &[Arg],
        after: i64,
    ) -> Result<Vec<Entry>, AdoptError> {
        let columns = self.attach.selected(&self.database, "a");
        let path = self.database.hex("a.content", 1, PATH);
        let sql = format!(
            "SELECT {columns}, CASE WHEN a.os_storage <> 0 THEN {path} END FROM {table}
             WHERE a.uid = ? AND {clause} AND a.id > ? AND {FIRST} ORDER BY a.id LIMIT {PAGE}"
        );
        let mut all = vec![self.uid.into()];
        all.extend_from_slice(args);
        all.push(after.into());
        let (attach, mut entries) = (&self.attach, Vec::new());
        let mut take = |line: Line| {
            let (fields, rest) = attach.read(line);
            let (id, bytes) = where_bytes_are("attach", &fields, rest);
            let place = ["display_path", "filename", "hash"].iter().find_map(|name| {
                fields.get(*name).and_then(Value::as_str).filter(|text| !text.is_empty())
            });
            let place = place.unwrap_or_default().chars().take(4096).collect();
            entries.push(Entry { id, row: attach_row(fields), place, bytes });
        };
        self.database.each(&sql, &all, &mut take).await?;
        Ok(entries)
    }

    /// The photo rows of some entries, each scale once.
    pub(super) async fn photos(
        &mut self,
        hashes: &[&str],
    ) -> Result<HashMap<String, Vec<Scale>>, AdoptError> {
        let mut photos: HashMap<String, Vec<Scale>> = HashMap::new();
        if hashes.is_empty() {
            return Ok(photos);
        }
        let columns = self.photo.selected(&self.database, "a");
        let path = self.database.hex("a.content", 1, PATH);
        let sql = format!(
            "SELECT {columns}, CASE WHEN a.os_storage <> 0 THEN {path} END FROM photo a
             WHERE a.uid = ? AND a.resource_id IN ({}) AND a.imgscale BETWEEN 0 AND 9 AND NOT EXISTS (
                 SELECT 1 FROM photo b WHERE b.uid = a.uid AND b.resource_id = a.resource_id
                 AND b.imgscale = a.imgscale AND b.id < a.id)
             ORDER BY a.imgscale, a.id",
            places(hashes.len())
        );
        let mut args = vec![self.uid.into()];
        args.extend(hashes.iter().map(|hash| Arg::from(*hash)));
        let photo = &self.photo;
        let mut take = |line: Line| {
            let (fields, rest) = photo.read(line);
            let (_, bytes) = where_bytes_are("photo", &fields, rest);
            let of =
                fields.get("resource_id").and_then(Value::as_str).unwrap_or_default().to_owned();
            photos.entry(of).or_default().push(Scale { fields, bytes });
        };
        self.database.each(&sql, &args, &mut take).await?;
        Ok(photos)
    }

    /// The tags of some entries or items, by their numbers in the database.
    pub(super) async fn terms(
        &mut self,
        tagged: Tagged,
        ids: &[i64],
    ) -> Result<HashMap<i64, Vec<Fields>>, AdoptError> {
        let mut terms: HashMap<i64, Vec<Fields>> = HashMap::new();
        if ids.is_empty() {
            return Ok(terms);
        }
        let columns = self.term.selected(&self.database, "a");
        // Hubzilla's numbers: 1 for a post, up to 7 for others, those above came with tags on files.
        let kind = match tagged {
            Tagged::Entry => "a.otype > 7",
            Tagged::Item => "a.otype = 1",
        };
        let sql = format!(
            "SELECT {columns} FROM term a WHERE a.uid = ? AND {kind} AND a.oid IN ({})
             ORDER BY a.tid LIMIT {TERMS}",
            places(ids.len())
        );
        let mut args = vec![self.uid.into()];
        args.extend(ids.iter().map(|id| Arg::from(*id)));
        let term = &self.term;
        let mut take = |line: Line| {
            let (fields, _) = term.read(line);
            let oid = fields.get("oid").and_then(Value::as_i64).unwrap_or(0);
            terms.entry(oid).or_default().push(fields);
        };
        self.database.each(&sql, &args, &mut take).await?;
        Ok(terms)
    }

    /// Items that may have to do with files, after a given one: those that name one, and those of a thread in
    /// which something does. What is answered stands before the answer.
    pub(super) async fn items(&mut self, after: i64) -> Result<Vec<(i64, Fields)>, AdoptError> {
        let columns = self.item.selected(&self.database, "a");
        let names = |alias: &str| {
            format!("({alias}.resource_id <> '' OR {alias}.attach LIKE '%/attach/%')")
        };
        let sql = format!(
            "SELECT {columns} FROM {} WHERE a.uid = ? AND a.id > ? AND a.item_deleted = 0
             AND ({} OR EXISTS (SELECT 1 FROM item p WHERE p.id = a.parent AND p.uid = a.uid AND {}))
             ORDER BY a.id LIMIT {ITEMS}",
            self.database.by_key("item", "a"),
            names("a"),
            names("p"),
        );
        let (item, mut items) = (&self.item, Vec::new());
        let mut take = |line: Line| {
            let (fields, _) = item.read(line);
            items.push((fields.get("id").and_then(Value::as_i64).unwrap_or(i64::MAX), fields));
        };
        self.database.each(&sql, &[self.uid.into(), after.into()], &mut take).await?;
        Ok(items)
    }

    /// People by their ids; those that nobody knows are left out.
    pub(super) async fn people(&mut self, ids: &BTreeSet<String>) -> Result<People, AdoptError> {
        let mut people = People::new();
        if ids.is_empty() {
            return Ok(people);
        }
        let columns = self.xchan.selected(&self.database, "a");
        let sql =
            format!("SELECT {columns} FROM xchan a WHERE a.xchan_hash IN ({})", places(ids.len()));
        let args: Vec<Arg> = ids.iter().map(|id| id.as_str().into()).collect();
        let xchan = &self.xchan;
        let mut take = |line: Line| people.extend([person(&xchan.read(line).0)]);
        self.database.each(&sql, &args, &mut take).await?;
        Ok(people)
    }

    /// How many bytes a row holds itself.
    pub(super) async fn length(&mut self, table: &str, id: i64) -> Result<u64, AdoptError> {
        let length = self.database.text("OCTET_LENGTH(content)");
        self.number(&format!("SELECT {length} FROM {table} WHERE id = ?"), &[id.into()]).await
    }

    /// A part of them; `from` counts from 0.
    pub(super) async fn part(
        &mut self,
        table: &str,
        id: i64,
        from: u64,
        len: u64,
    ) -> Result<Vec<u8>, AdoptError> {
        let part = self.database.hex("content", from + 1, len);
        let sql = format!("SELECT {part} FROM {table} WHERE id = ?");
        let text = self.database.lines(&sql, &[id.into()]).await?.pop().and_then(|mut l| l.pop());
        Ok(text.flatten().and_then(|text| hex::decode(text).ok()).unwrap_or_default())
    }

    /// URLs at which Hubzilla may be running, the likeliest first.
    pub(super) async fn urls(&mut self, channel: &Channel) -> Result<Vec<String>, AdoptError> {
        let asked = [
            ("config", "v", "cat = 'system' AND k = 'baseurl' AND ? <> ''"),
            ("hubloc", "hubloc_url", "hubloc_hash = ? AND hubloc_deleted = 0"),
        ];
        let mut urls = Vec::new();
        for (table, column, clause) in asked {
            if !Table::of(&mut self.database, table, &[]).await?.has(column) {
                continue;
            }
            let url = self.database.text(column);
            let sql = format!("SELECT DISTINCT {url} FROM {table} WHERE {clause} LIMIT 3");
            let lines = self.database.lines(&sql, &[channel.portable_id.as_str().into()]).await?;
            let found: Vec<String> = lines.into_iter().flatten().flatten().collect();
            // Of several hubs it is not known which one this is.
            if found.len() == 1 {
                urls.extend(found);
            }
        }
        Ok(urls)
    }

    async fn number(&mut self, sql: &str, args: &[Arg]) -> Result<u64, AdoptError> {
        let lines = self.database.lines(sql, args).await?;
        Ok(whole(lines.first().and_then(|line| line.first()?.as_deref())))
    }
}

/// Of entries with one id the first.
const FIRST: &str = "NOT EXISTS (
    SELECT 1 FROM attach b WHERE b.uid = a.uid AND b.hash = a.hash AND b.id < a.id)";

async fn find(database: &mut Database, channel: &Channel) -> Result<(i64, String), AdoptError> {
    let needed = &["channel_id", "channel_address", "channel_hash"];
    Table::of(database, "channel", needed).await?;
    let columns = ["channel_id", "channel_address"].map(|column| database.text(column)).join(", ");
    let sql =
        format!("SELECT {columns} FROM channel WHERE channel_hash = ? ORDER BY channel_id LIMIT 1");
    let found = database.lines(&sql, &[channel.portable_id.as_str().into()]).await?;
    if let Some([Some(uid), Some(nick)]) = found.first().map(Vec::as_slice)
        && let Ok(uid) = uid.parse()
    {
        return Ok((uid, nick.clone()));
    }
    let sql = format!("SELECT {columns} FROM channel WHERE channel_id <> 0 LIMIT 20");
    let others = database.lines(&sql, &[]).await?;
    let others: Vec<String> = others
        .into_iter()
        .filter_map(|line| line.into_iter().nth(1)?.map(|nick| crate::text::visible(&nick)))
        .collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(AdoptError::NoChannel(channel.nick.clone(), others))
}

fn where_bytes_are(table: &'static str, fields: &Fields, rest: Line) -> (i64, At) {
    let id = fields.get("id").and_then(Value::as_i64).unwrap_or(i64::MAX);
    let on_disk = fields.get("os_storage").and_then(Value::as_i64) != Some(0);
    let path = rest.into_iter().next().flatten().and_then(|text| hex::decode(text).ok());
    let path = path.and_then(|path| String::from_utf8(path).ok()).unwrap_or_default();
    (id, if on_disk { At::Path(path) } else { At::Column(table, id) })
}

fn whole(text: Option<&str>) -> u64 {
    text.and_then(|text| text.split('.').next()?.parse().ok()).unwrap_or(0)
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
