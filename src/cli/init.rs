//! `zotferry init`: a new hub.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use zotferry_protocol::identity::BaseUrl;

use super::exit::{Exit, Failure};
use super::output;

/// Where a hub listens behind a proxy, unless said otherwise.
const PORT: u16 = 8417;

/// Makes a new hub: settings, keys and folders.
///
/// Everything a hub has lies in DIR, which only you can read: config.toml, where every setting is
/// explained, its keys, the catalog, and the files themselves.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// The folder: new, or empty.
    dir: PathBuf,
    /// The base URL under which other hubs will reach this one.
    #[arg(long)]
    url: String,
    /// Where it listens. By default the URL's own address on loopback, otherwise 127.0.0.1:8417,
    /// where a proxy with TLS reaches it.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

const EXAMPLES: &str = "\
Examples:
  zotferry init hub --url https://hub.example
  zotferry init hub --url https://hub.example --listen 10.0.0.5:8417
  zotferry init try --url http://127.0.0.1:9000    a hub that only this machine reaches";

impl Init {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let url = BaseUrl::parse(&self.url)
            .map_err(|e| Failure::new(Exit::Usage, format!("--url {}: {e}", self.url)))?;
        let listen = self.listen.unwrap_or_else(|| own_address(&url));
        zotferry::hub::Hub::init(&self.dir, url.clone(), listen).await?;
        let dir = output::path(&self.dir);
        output::line(format!("{dir} is a hub for {url}, and will listen on {listen}."));
        output::line(format!("Run it with `zotferry hub {dir}`."));
        Ok(Exit::Done)
    }
}

/// The address in a URL on loopback; any other is a proxy's.
fn own_address(url: &BaseUrl) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if !url.is_loopback() || url.is_https() {
        return SocketAddr::new(loopback, PORT);
    }
    let url = url.to_url();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    SocketAddr::new(host.parse().unwrap_or(loopback), url.port_or_known_default().unwrap_or(PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_on_loopback_listens_where_its_url_says() {
        for (url, address) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://localhost", "127.0.0.1:80"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("https://127.0.0.1:9000", "127.0.0.1:8417"),
            ("https://hub.example", "127.0.0.1:8417"),
        ] {
            let url = BaseUrl::parse(url).expect("a URL");
            assert_eq!(own_address(&url).to_string(), address);
        }
    }
}
