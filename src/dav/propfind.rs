//! PROPFIND (RFC 4918, section 9.1): what is known of an entry, and of those in a folder.
//!
//! Owns: which properties there are and what is said of them. Not here: the question (`question`),
//! XML (`multistatus`).
//! Invariant: what is asked for by name is answered: with its value, or 404. A folder that cannot be
//! read to its end cuts the answer: a listing that looks whole would make a program that mirrors it
//! remove files.
//!
//! dav-server has a PROPFIND; it leaves out what it does not know, writes entity tags without their
//! quotes, and passes over what it cannot read.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use dav_server::davpath::DavPath;
use dav_server::fs::FsError;
use dav_server::ls::DavLock;
use futures_util::stream;

use super::listing::{Listed, Pages};
use super::locks::Locks;
use super::meta::Meta;
use super::multistatus::{self, Said};
use super::question::{Name, Question};
use super::visit::Visit;
use crate::catalog::Property;

const DAV: &str = "DAV:";
const APACHE: &str = "http://apache.org/dav/props/";

/// What is said of everything unasked. Quotas are not: RFC 4331, section 3.
const ALL: [&str; 9] = [
    "creationdate",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "lockdiscovery",
    "resourcetype",
    "supportedlock",
];

/// What answers are made from.
struct Answer {
    visit: Arc<Visit>,
    question: Question,
    locks: Locks,
    /// Bytes used, and bytes left.
    quota: (u64, u64),
}

/// An entry that something is said of.
struct Subject<'a> {
    meta: &'a Meta,
    /// What it is shown as; empty for the top.
    name: &'a str,
    properties: &'a [Property],
    href: &'a str,
}

pub(super) async fn answer(visit: &Arc<Visit>, question: Question, depth: &str) -> Response<Body> {
    let deep = match depth {
        "0" => false,
        // RFC 4918, section 9.1: without a depth all is meant, which may be refused.
        "1" | "" => true,
        _ => return multistatus::finite_depth(),
    };
    match begin(visit, question, deep).await {
        Ok(body) => {
            let xml =
                [(header::CONTENT_TYPE, multistatus::XML), (header::CACHE_CONTROL, "no-cache")];
            (StatusCode::MULTI_STATUS, xml, body).into_response()
        }
        Err(error) => match visit.verdict() {
            Some(verdict) => verdict,
            None if error == FsError::NotFound => StatusCode::NOT_FOUND.into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
    }
}

/// What is asked for itself, at once; then page by page what is in it.
async fn begin(visit: &Arc<Visit>, question: Question, deep: bool) -> Result<Body, FsError> {
    let entry = match visit.source.is_empty() {
        true => None,
        false => Some(visit.lookup(&visit.source).await?.ok_or(FsError::NotFound)?),
    };
    let meta = entry.as_ref().map_or_else(Meta::top, Meta::of);
    let hash = entry.as_ref().map(|entry| &entry.hash);
    let (catalog, channel) = (&visit.hub().catalog, visit.channel.id);
    let found = catalog.properties(channel, [hash]).await.map_err(|e| visit.catalog(&e))?;
    let properties = found.into_values().next().unwrap_or_default();
    let (used, total) = visit.quota().await?;
    let answer = Answer {
        visit: Arc::clone(visit),
        question,
        locks: visit.dav.locks.of(channel),
        quota: (used, total.saturating_sub(used)),
    };
    let mut href = format!("/dav/{}/", visit.channel.nick);
    let encoded: Vec<String> = visit.source.iter().map(|name| multistatus::encode(name)).collect();
    href.push_str(&encoded.join("/"));
    if meta.is_folder() && !href.ends_with('/') {
        href.push('/');
    }
    let name = visit.source.last().map_or("", String::as_str);
    let mut first = String::from(multistatus::BEGIN);
    let subject = Subject { meta: &meta, name, properties: &properties, href: &href };
    answer.say(&mut first, &subject);
    let pages = (deep && meta.is_folder()).then(|| Pages::of(visit, entry.map(|entry| entry.hash)));
    Ok(body(answer, first, href, pages))
}

/// The first piece, a piece for each page, the end.
fn body(answer: Answer, first: String, href: String, pages: Option<Pages>) -> Body {
    let begun = (Some(first), pages, false);
    let pieces = stream::unfold((answer, href, begun), async |(answer, href, state)| {
        let (first, mut pages, ended) = state;
        if ended {
            return None;
        }
        let mut text = first.unwrap_or_default();
        let page = match &mut pages {
            Some(pages) => pages.next().await,
            None => Ok(None),
        };
        let ended = match page {
            Ok(Some(page)) => {
                page.iter().for_each(|listed| answer.say_listed(&mut text, &href, listed));
                false
            }
            Ok(None) => {
                text.push_str(multistatus::END);
                true
            }
            Err(error) => {
                answer.visit.failed(&error);
                let cut = std::io::Error::other("the folder could not be read to its end");
                return Some((Err(cut), (answer, href, (None, None, true))));
            }
        };
        Some((Ok(Bytes::from(text)), (answer, href, (None, pages, ended))))
    });
    Body::from_stream(Box::pin(pieces))
}

impl Answer {
    fn say_listed(&self, text: &mut String, above: &str, listed: &Listed) {
        let meta = Meta::of(&listed.entry);
        let slash = if meta.is_folder() { "/" } else { "" };
        let href = format!("{above}{}{slash}", multistatus::encode(&listed.name));
        let properties = &listed.properties;
        self.say(text, &Subject { meta: &meta, name: &listed.name, properties, href: &href });
    }

    fn say(&self, text: &mut String, subject: &Subject<'_>) {
        let mut said = Said::of(subject.href);
        match &self.question {
            Question::Some(names) => {
                for name in names {
                    self.say_named(&mut said, subject, name);
                }
            }
            Question::All(more) => {
                for name in ALL {
                    self.say_if_there(&mut said, subject, name);
                }
                for property in subject.properties.iter().filter(|p| !is_live(p)) {
                    said.whole(&property.xml);
                }
                let unsaid =
                    |(namespace, name): &&Name| namespace != DAV || !ALL.contains(&name.as_str());
                for name in more.iter().filter(unsaid) {
                    self.say_named(&mut said, subject, name);
                }
            }
            Question::Names => {
                for name in ALL.into_iter().filter(|name| self.live(subject, DAV, name).is_some()) {
                    said.name(DAV, name);
                }
                for property in subject.properties.iter().filter(|p| !is_live(p)) {
                    said.name(&property.namespace, &property.name);
                }
            }
        }
        said.end(text);
    }

    fn say_if_there(&self, said: &mut Said<'_>, subject: &Subject<'_>, name: &str) {
        match kept(subject, DAV, name) {
            Some(property) => said.whole(&property.xml),
            None => self
                .live(subject, DAV, name)
                .into_iter()
                .for_each(|xml| said.value(DAV, name, &xml)),
        }
    }

    fn say_named(&self, said: &mut Said<'_>, subject: &Subject<'_>, (namespace, name): &Name) {
        match (kept(subject, namespace, name), self.live(subject, namespace, name)) {
            (Some(property), _) => said.whole(&property.xml),
            (None, Some(xml)) => said.value(namespace, name, &xml),
            (None, None) => said.missing(namespace, name),
        }
    }

    /// The value of a property that this hub knows by itself, as XML.
    fn live(&self, subject: &Subject<'_>, namespace: &str, name: &str) -> Option<String> {
        let meta = subject.meta;
        if namespace == APACHE {
            let executable = (name == "executable").then(|| meta.is_executable()).flatten();
            return executable.map(|x| if x { "T" } else { "F" }.to_owned());
        }
        if namespace != DAV {
            return None;
        }
        match name {
            "creationdate" => meta.created_at().map(multistatus::iso_date),
            "displayname" => Some(multistatus::escape(self.shown(subject))),
            "getcontentlength" => (!meta.is_folder()).then(|| meta.size().to_string()),
            "getcontenttype" => (!meta.is_folder()).then(|| mime(subject.name)),
            "getetag" => meta.tag().map(|tag| format!("\"{tag}\"")),
            "getlastmodified" => meta.modified_at().map(multistatus::http_date),
            "lockdiscovery" => Some(multistatus::locks(&self.locked(subject.href))),
            "resourcetype" if meta.is_folder() => Some("<D:collection/>".to_owned()),
            "resourcetype" => Some(String::new()),
            "supportedlock" => Some(multistatus::SUPPORTED_LOCKS.to_owned()),
            "quota-available-bytes" => meta.is_folder().then(|| self.quota.1.to_string()),
            "quota-used-bytes" => meta.is_folder().then(|| self.quota.0.to_string()),
            _ => None,
        }
    }

    fn shown<'a>(&'a self, subject: &'a Subject<'_>) -> &'a str {
        if subject.name.is_empty() { &self.visit.channel.nick } else { subject.name }
    }

    fn locked(&self, href: &str) -> Vec<DavLock> {
        let below = href.strip_prefix("/dav/").and_then(|rest| rest.split_once('/'));
        let path = below.and_then(|(_, path)| DavPath::new(&format!("/{path}")).ok());
        path.map_or_else(Vec::new, |path| self.locks.covering(&path))
    }
}

/// A property that a program keeps with the entry.
fn kept<'a>(subject: &'a Subject<'_>, namespace: &str, name: &str) -> Option<&'a Property> {
    subject.properties.iter().find(|p| p.namespace == namespace && p.name == name)
}

/// One that is said among the live ones.
fn is_live(property: &Property) -> bool {
    property.namespace == DAV && ALL.contains(&property.name.as_str())
}

fn mime(name: &str) -> String {
    mime_guess::from_path(name).first_or_octet_stream().essence_str().to_owned()
}
