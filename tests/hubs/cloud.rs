//! The pages for people: what they show, to whom, and what a browser may do with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, RANGE};
use zotferry::catalog::{Access, LocalContent, MetaChange};
use zotferry::chunker::store_reader;
use zotferry::files;

use crate::harness::{MIB, Setup, TestHub, noise, pair, set, until};

/// Puts one file, or a folder where there are no bytes, that some may see; returns its id.
async fn enter(hub: &TestHub, path: &[&str], bytes: Option<&[u8]>, access: Access) -> String {
    let channel = hub.channel("alice").await;
    let content = bytes.map(|bytes| {
        let stored = store_reader(&*hub.hub().storage, bytes, None).unwrap();
        let (root, size) = (stored.root, stored.size);
        LocalContent { root, size, digests: stored.inline_digests }
    });
    let (name, folders) = path.split_last().unwrap();
    let folders = folders.iter().map(|&name| name.to_owned()).collect();
    let put = files::local_put(folders, name, content);
    let filed = files::enter(hub.hub(), &channel, vec![put], access).await.unwrap();
    filed[0].as_ref().unwrap().hash.to_string()
}

async fn show_to(hub: &TestHub, path: &[&str], access: Access) {
    let channel = hub.channel("alice").await;
    let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
    let change = MetaChange { access: Some(access), ..MetaChange::default() };
    files::set_meta(hub.hub(), &channel, &path, change).await.unwrap();
}

async fn alone(dir: &std::path::Path) -> TestHub {
    let hub = TestHub::build(dir, "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    hub
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The targets of the links on a page.
    fn links(&self) -> Vec<&str> {
        let after = self.text().split("href=\"").skip(1);
        after.map(|rest| rest.split('"').next().unwrap()).collect()
    }
}

async fn get(hub: &TestHub, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(hub, reqwest::Method::GET, path, headers).await
}

async fn ask(
    hub: &TestHub,
    method: reqwest::Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let no_redirects = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().no_proxy().redirect(no_redirects).build().unwrap();
    let mut request = client.request(method, hub.hub().config.url.join(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}

/// REF-7: whatever a name holds is text on the page, leads to its file, and stays in its header.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_text_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    let names = [
        "<script>alert(1)<\\script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "two\nlines\r\nX-Evil: yes",
        "photo\u{202e}gpj.exe",
        "100%2e",
        "javascript:alert(1)",
        "?login",
        "#top",
        "{{ title }}",
    ];
    for name in names {
        enter(&hub, &[name], Some(name.as_bytes()), Access::default()).await;
    }
    let page = get(&hub, "/cloud/alice/", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = page.text();
    for bad in ["<script", "<img", "onmouseover='", "\u{202e}", "two\n"] {
        assert!(!text.contains(bad), "{bad:?} in {text}");
    }
    assert!(text.contains("photo\\u{202e}gpj.exe") && text.contains("two\\u{a}lines"), "{text}");
    let files: Vec<&str> = page.links().into_iter().filter(|link| link.starts_with("./")).collect();
    assert_eq!(files.len(), names.len());
    for link in files {
        let file = get(&hub, &format!("/cloud/alice/{}", &link[2..]), &[]).await;
        let name = percent_decode_str(&link[2..]).decode_utf8().unwrap();
        assert_eq!((file.status, file.body.as_slice()), (200, name.as_bytes()));
        assert!(file.headers.get("x-evil").is_none());
        assert!(file.header("content-disposition").starts_with("attachment; filename=\""));
    }
}

/// A page runs no script and loads nothing; a file is in a sandbox, and only what cannot act is shown.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_uploaded_acts_for_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    for (name, shown, mime) in [
        ("a.html", "attachment", "application/octet-stream"),
        ("a.svg", "attachment", "image/svg+xml"),
        ("a.xml", "attachment", "application/octet-stream"),
        ("a.xhtml", "attachment", "application/octet-stream"),
        ("a.js", "attachment", "application/octet-stream"),
        ("a.pdf", "attachment", "application/octet-stream"),
        ("a.png", "inline", "image/png"),
        ("a.mp4", "inline", "video/mp4"),
        ("a.txt", "inline", "text/plain; charset=utf-8"),
    ] {
        enter(&hub, &[name], Some(b"<html><script>alert(1)</script>"), Access::default()).await;
        let file = get(&hub, &format!("/cloud/alice/{name}"), &[]).await;
        assert_eq!(file.header("content-type"), mime, "{name}");
        assert!(file.header("content-disposition").starts_with(shown), "{name}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        let policy = file.header("content-security-policy");
        let sandbox = if mime == "video/mp4" { "sandbox allow-same-origin" } else { "sandbox" };
        assert!(policy.starts_with(&format!("{sandbox}; default-src 'none'")), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        let file = get(&hub, &format!("/cloud/alice/{name}?download"), &[]).await;
        assert!(file.header("content-disposition").starts_with("attachment"), "{name}");
    }
    let page = get(&hub, "/cloud/alice/", &[]).await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!page.text().contains("<script"));
}

/// An entry is shown when it and all folders above it are everyone's. Another one cannot be told from
/// one that does not exist, by any of its addresses.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_public_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    let some = || Access { allow_cid: "<somebody>".into(), ..Access::default() };
    let all_but = || Access { deny_gid: "<group>".into(), ..Access::default() };
    let open = enter(&hub, &["open"], Some(b"open"), Access::default()).await;
    let closed = enter(&hub, &["closed"], Some(b"closed"), some()).await;
    let denied = enter(&hub, &["denied"], Some(b"denied"), all_but()).await;
    let folder = enter(&hub, &["inner"], None, some()).await;
    let below = enter(&hub, &["inner", "sub", "file"], Some(b"below"), Access::default()).await;
    // Lists of its own do not open what a folder above it closes.
    show_to(&hub, &["inner", "sub", "file"], Access::default()).await;
    let page = get(&hub, "/cloud/alice/", &[]).await;
    let shown: Vec<_> = page.links().into_iter().filter(|link| link.starts_with("./")).collect();
    assert_eq!(shown, ["./open"]);
    assert_eq!(get(&hub, "/cloud/alice/open", &[]).await.body, b"open");
    assert_eq!(get(&hub, &format!("/attach/{open}"), &[]).await.body, b"open");
    let nothing = get(&hub, "/cloud/alice/nothing", &[]).await;
    assert_eq!(nothing.status, 404);
    let hidden = ["closed", "denied", "inner", "inner/", "inner/sub/", "inner/sub/file"];
    let hidden = hidden.map(|path| format!("/cloud/alice/{path}"));
    let by_id = [closed, denied, folder, below].map(|hash| format!("/attach/{hash}"));
    for path in hidden.iter().chain(&by_id) {
        let answer = get(&hub, path, &[]).await;
        assert_eq!((answer.status, &answer.body), (404, &nothing.body), "{path}");
        assert!(answer.headers.get("etag").is_none() && answer.headers.get("location").is_none());
    }
    // Whoever wants to log in is asked for a password wherever they stand.
    for path in ["/cloud/alice/closed?login", "/cloud/alice/nothing?login", "/cloud/bob/?login"] {
        let answer = get(&hub, path, &[]).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    let alice = hub.channel("alice").await;
    let (passwords, catalog) = (&hub.hub().passwords, &hub.hub().catalog);
    let word = passwords.make(catalog, &alice, "browser", hub.hub().clock.now()).await.unwrap();
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let (own, other) = (basic(format!("alice:{word}")), basic(format!("bob:{word}")));
    for (path, bytes) in [("closed", "closed"), ("inner/sub/file", "below"), ("open", "open")] {
        let path = format!("/cloud/alice/{path}");
        let seen = get(&hub, &path, &[("authorization", &own)]).await;
        assert_eq!((seen.status, seen.text()), (200, bytes));
        assert_eq!(get(&hub, &path, &[("authorization", &other)]).await.status, 401);
    }
    let seen = get(&hub, "/cloud/alice/closed", &[("authorization", &own)]).await;
    assert!(seen.header("cache-control").starts_with("private"));
    assert_eq!(seen.header("cross-origin-resource-policy"), "same-origin");
    let page = get(&hub, "/cloud/alice/?login", &[("authorization", &own)]).await;
    assert_eq!(page.text().matches("not public").count(), 3);
    assert_eq!(get(&hub, "/cloud/bob/", &[("authorization", &own)]).await.status, 401);
    let wrong = get(&hub, "/cloud/alice/open", &[("authorization", "Basic YWxpY2U6eA==")]).await;
    assert_eq!(wrong.status, 401, "wrong credentials are not taken for none");
}

/// STREAM-6, as RFC 9110 has it: a range, a condition and a HEAD are answered by the content's root.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    let film = noise(1, 2 * MIB + 7);
    enter(&hub, &["film"], Some(&film), Access::default()).await;
    enter(&hub, &["empty"], Some(b""), Access::default()).await;
    let path = "/cloud/alice/film";
    let whole = get(&hub, path, &[]).await;
    assert_eq!((whole.status, whole.body == film), (200, true));
    let etag = whole.header("etag").to_owned();
    let head = ask(&hub, reqwest::Method::HEAD, path, &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "2097159"));
    assert!(head.body.is_empty());
    let part = get(&hub, path, &[("range", "bytes=1000-1048999"), ("if-range", &etag)]).await;
    assert_eq!((part.status, part.body == film[1000..1_049_000]), (206, true));
    assert_eq!(part.header("content-range"), "bytes 1000-1048999/2097159");
    let end = get(&hub, path, &[(RANGE.as_str(), "bytes=-7")]).await;
    assert_eq!((end.status, end.body == film[2 * MIB..]), (206, true));
    let other = get(&hub, path, &[("range", "bytes=5-9"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, other.body.len()), (200, film.len()));
    let outside = get(&hub, path, &[("range", "bytes=2097159-")]).await;
    assert_eq!((outside.status, outside.header("content-range")), (416, "bytes */2097159"));
    let same = get(&hub, path, &[("if-none-match", &format!("\"x\", W/{etag}"))]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let empty = get(&hub, "/cloud/alice/empty", &[]).await;
    assert_eq!((empty.status, empty.header("content-length")), (200, "0"));
    let post = ask(&hub, reqwest::Method::POST, path, &[]).await;
    assert_eq!(post.status, 405);
}

/// A folder of many entries comes in pages, each entry once; a folder's address ends with a slash.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_comes_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    let channel = hub.channel("alice").await;
    let stored = store_reader(&*hub.hub().storage, &b"x"[..], None).unwrap();
    let (root, size, digests) = (stored.root, stored.size, stored.inline_digests);
    let content = LocalContent { root, size, digests };
    let name = |n: u32| format!("file {n}");
    let put = |n| files::local_put(vec!["many".into()], &name(n), Some(content.clone()));
    let puts = (0..2050).map(put).collect();
    files::enter(hub.hub(), &channel, puts, Access::default()).await.unwrap();
    let moved = get(&hub, "/cloud/alice/many", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (308, "./many/"));
    let (mut query, mut pages, mut found) = (String::new(), 0, Vec::new());
    loop {
        let page = get(&hub, &format!("/cloud/alice/many/{query}"), &[]).await;
        let links = page.links().into_iter().map(str::to_owned);
        let (files, others): (Vec<_>, Vec<_>) =
            links.partition(|link| link.starts_with("./") && link.len() > 2);
        found.extend(files);
        pages += 1;
        match others.into_iter().find(|link| link.starts_with("?after=")) {
            Some(next) => query = next,
            None => break,
        }
    }
    found.sort();
    found.dedup();
    assert_eq!((pages, found.len()), (3, 2050));
}

/// What is new is for the channel alone until somebody says otherwise; a folder that was opened opens what
/// is put into it from then on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_is_seen_by_those_who_see_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let alice = hub.channel("alice").await;
    let word = hub.hub().passwords.make(&hub.hub().catalog, &alice, "a", hub.hub().clock.now());
    let own = format!("Basic {}", STANDARD.encode(format!("alice:{}", word.await.unwrap())));
    hub.put_bytes("alice", "diary", b"secret").await;
    let client = reqwest::Client::new();
    let dav = async |method: &str, path: &str, body: &'static str| {
        let url = format!("{}/dav/alice/{path}", hub.hub().config.url);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, url).header("authorization", &own).body(body);
        assert_eq!(request.send().await.unwrap().status(), 201, "{path}");
    };
    dav("PUT", "note", "by a program").await;
    dav("MKCOL", "album", "").await;
    dav("PUT", "album/before", "closed").await;
    for path in ["diary", "note", "album/", "album/before"] {
        let path = format!("/cloud/alice/{path}");
        assert_eq!(get(&hub, &path, &[]).await.status, 404, "{path}");
        assert_eq!(get(&hub, &path, &[("authorization", &own)]).await.status, 200, "{path}");
    }
    show_to(&hub, &["album"], Access::default()).await;
    dav("PUT", "album/after", "open").await;
    dav("MKCOL", "album/deeper", "").await;
    dav("PUT", "album/deeper/one", "open as well").await;
    clone.shows("alice", "note", b"by a program").await;
    let below = async || clone.bytes("alice", &["album", "deeper", "one"]).await;
    until("the clone has all", async || below().await.is_some()).await;
    for hub in [&hub, &clone] {
        for path in ["album/after", "album/deeper/one"] {
            assert_eq!(get(hub, &format!("/cloud/alice/{path}"), &[]).await.status, 200, "{path}");
        }
        for path in ["diary", "note", "album/before"] {
            assert_eq!(get(hub, &format!("/cloud/alice/{path}"), &[]).await.status, 404, "{path}");
        }
    }
}

/// FETCH-3: a file that is still on its way is read through the clone, and nothing but its bytes is.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_its_way_is_no_broken_link() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let film = noise(3, 20 * MIB);
    origin.proxy().allow(4 * MIB as u64);
    enter(&origin, &["film"], Some(&film), Access::default()).await;
    let channel = clone.channel("alice").await;
    until("the clone knows of it", async || {
        clone.hub().catalog.by_path(channel.id, &["film"]).await.unwrap().is_some()
    })
    .await;
    let page = get(&clone, "/cloud/alice/", &[]).await;
    assert!(page.text().contains("on its way, "), "{}", page.text());
    let head = ask(&clone, reqwest::Method::HEAD, "/cloud/alice/film", &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "20971520"));
    let (whole, part, ()) = tokio::join!(
        get(&clone, "/cloud/alice/film", &[]),
        get(&clone, "/cloud/alice/film", &[("range", "bytes=20971000-")]),
        async { origin.proxy().allow_all() },
    );
    assert_eq!((whole.status, whole.body == film), (200, true));
    assert_eq!((part.status, part.body == film[20_971_000..]), (206, true));
    clone.shows("alice", "film", &film).await;
}

/// FETCH-56: where nobody can give a file that is wanted, the answer says when to ask again; it is neither
/// 404 nor half a file. When the origin is back, so is the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_gives_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let impatient = |config: &mut toml::Table| set(config, "transfer", "stall_seconds", 1);
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(impatient)).await;
    let film = noise(4, 9 * MIB);
    origin.proxy().allow(3 * MIB as u64);
    enter(&origin, &["film"], Some(&film), Access::default()).await;
    let channel = clone.channel("alice").await;
    until("the clone knows of it", async || {
        clone.hub().catalog.by_path(channel.id, &["film"]).await.unwrap().is_some()
    })
    .await;
    let proxy = origin.proxy().clone();
    let stopped = origin.stop().await;
    let answer = get(&clone, "/cloud/alice/film", &[("range", "bytes=-9")]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "30"));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.text().contains("It will be here later"), "{}", answer.text());
    assert!(answer.headers.get("etag").is_none());
    proxy.allow_all();
    let _origin = stopped.start().await;
    until("it is read through the clone", async || {
        let answer = get(&clone, "/cloud/alice/film", &[]).await;
        answer.status == 200 && answer.body == film
    })
    .await;
}

/// PHOTO-4: a scale is shown by the id of its file, and what it is made of is fetched while somebody waits.
#[tokio::test(flavor = "multi_thread")]
async fn scales_are_shown_before_their_photo_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let (width, height) = (1000, 700);
    let pixels = image::RgbImage::from_raw(width, height, noise(6, 2_100_000)).unwrap();
    let mut photo = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut photo, image::ImageFormat::Png).unwrap();
    origin.proxy().allow(MIB as u64);
    enter(&origin, &["noise.png"], Some(photo.get_ref()), Access::default()).await;
    let channel = clone.channel("alice").await;
    let known = async || clone.hub().catalog.by_path(channel.id, &["noise.png"]).await.unwrap();
    until("the clone knows of it", async || known().await.is_some()).await;
    let id = known().await.unwrap().hash;
    let path = |scale: &str| format!("/photo/{id}-{scale}");
    let (three, small) = (path("3"), path("3.jpg"));
    let (shown, ()) = tokio::join!(get(&clone, &three, &[]), async { origin.proxy().allow_all() });
    assert_eq!(shown.status, 200);
    let image = image::load_from_memory(&shown.body).unwrap();
    assert_eq!((image.width(), image.height()), (320, 224));
    assert!(shown.header("content-type").starts_with("image/"));
    assert!(shown.header("content-disposition").starts_with("inline"));
    let etag = shown.header("etag");
    assert_eq!(get(&clone, &small, &[("if-none-match", etag)]).await.status, 304);
    let part = get(&clone, &small, &[("range", "bytes=0-99"), ("if-range", etag)]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &shown.body[..100]));
    assert!(get(&clone, &path("0"), &[]).await.body == *photo.get_ref());
    // Nobody cropped it, and there is no such scale, id or entry.
    for missing in [path("4"), path("10"), path("x"), "/photo/none-1".into(), "/photo/".into()] {
        assert_eq!(get(&clone, &missing, &[]).await.status, 404, "{missing}");
    }
    let access = Access { allow_cid: "<somebody>".into(), ..Access::default() };
    let closed = enter(&clone, &["closed.png"], Some(photo.get_ref()), access).await;
    assert_eq!(get(&clone, &format!("/photo/{closed}-3"), &[]).await.status, 404);
}

/// What somebody may not see takes no place on a page: neither an empty page nor a link to a next one tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn pages_do_not_tell_of_what_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let hub = alone(dir.path()).await;
    let channel = hub.channel("alice").await;
    let stored = store_reader(&*hub.hub().storage, &b"x"[..], None).unwrap();
    let (root, size, digests) = (stored.root, stored.size, stored.inline_digests);
    let content = LocalContent { root, size, digests };
    let put = |name: String| files::local_put(vec!["many".into()], &name, Some(content.clone()));
    let enter = async |names: Vec<String>, access: Access| {
        let puts = names.into_iter().map(put).collect();
        files::enter(hub.hub(), &channel, puts, access).await.unwrap();
    };
    let hidden = || Access { allow_cid: "<somebody>".into(), ..Access::default() };
    enter((0..1500).map(|n| format!("a{n}")).collect(), hidden()).await;
    enter((0..1500).map(|n| format!("z{n}")).collect(), hidden()).await;
    show_to(&hub, &["many"], Access::default()).await;
    enter(vec!["m".into()], Access::default()).await;
    let page = get(&hub, "/cloud/alice/many/", &[]).await;
    let files = |page: &Answer| {
        let is_file = |link: &&&str| link.starts_with("./") && link.len() > 2;
        page.links().iter().filter(is_file).count()
    };
    let next = |page: &Answer| page.links().iter().any(|link| link.starts_with("?after="));
    assert_eq!((files(&page), next(&page)), (1, false), "{}", page.text());

    enter((0..999).map(|n| format!("n{n}")).collect(), Access::default()).await;
    assert!(!next(&get(&hub, "/cloud/alice/many/", &[]).await), "a full page, and no more");
    enter(vec!["o".into()], Access::default()).await;
    let page = get(&hub, "/cloud/alice/many/", &[]).await;
    assert!(next(&page));
    let query = page.links().into_iter().find(|link| link.starts_with("?after=")).unwrap();
    let page = get(&hub, &format!("/cloud/alice/many/{query}"), &[]).await;
    assert!(page.links().contains(&"./o") && !next(&page), "{}", page.text());
}
