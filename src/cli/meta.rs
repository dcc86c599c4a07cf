//! `zotferry meta`: what is said about an entry, and who may see it.

use std::path::Path;

use clap::Args;
use zotferry::local::client::Client;
use zotferry::local::{Describe, Description, SetSight, Sight};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

/// Describes a file or folder: its title, its tags, and who may see it.
///
/// Without anything to change it tells how the entry is described. What lies in a folder can be seen
/// by those only who may see the folder. Lists are checked by hubs that know who is who; on the pages
/// of this hub, whatever is not public is for the owner.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub meta alice /photos/sunset.jpg
  zotferry --dir hub meta alice /photos/sunset.jpg --title 'At the sea' --tag sea --tag evening
  zotferry --dir hub meta alice /diary --private
  zotferry --dir hub meta alice /album --public -R            the folder and all that lies in it")]
pub(crate) struct Meta {
    /// Which channel.
    channel: String,
    /// The entry's path there.
    path: String,
    /// Its title; an empty one takes it away.
    #[arg(long)]
    title: Option<String>,
    /// A tag; all that it is to have, once each.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Takes its tags away.
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Everybody may see it.
    #[arg(long, group = "sight")]
    public: bool,
    /// Nobody may see it but the channel itself.
    #[arg(long, group = "sight")]
    private: bool,
    /// A channel that may see it, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "sight")]
    allow: Vec<String>,
    /// A group that may see it, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "sight")]
    allow_group: Vec<String>,
    /// A channel that may not see it, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "sight")]
    deny: Vec<String>,
    /// A group that may not see it, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "sight")]
    deny_group: Vec<String>,
    /// With who may see it: also all that lies in the folder; the path / is the whole channel.
    #[arg(short = 'R', long, conflicts_with_all = ["title", "tags", "no_tags"])]
    recursive: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Meta {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        if self.recursive {
            return self.set_below(dir).await;
        }
        let json = self.json;
        let question = self.question();
        let client = Client::running_or_resting(dir).await?;
        let described = client.ask(&question).await;
        client.close().await?;
        let described = described?;
        if json {
            output::json(&described);
        } else {
            show(&described);
        }
        Ok(Exit::Done)
    }

    async fn set_below(self, dir: &Path) -> Result<Exit, Failure> {
        let json = self.json;
        let question = self.question();
        let Some(sight) = question.sight else {
            let text =
                "--recursive says who may see a folder and all in it: --public, --private or lists";
            return Err(Failure::new(Exit::Usage, text));
        };
        let question = SetSight { channel: question.channel, path: question.path, sight };
        let client = Client::running_or_resting(dir).await?;
        let set = client.ask(&question).await;
        client.close().await?;
        let set = set?;
        if json {
            output::json(&set);
        } else {
            let entries = if set.changed == 1 { "entry" } else { "entries" };
            output::line(format!("changed {} {entries}", set.changed));
        }
        Ok(Exit::Done)
    }

    fn question(self) -> Describe {
        let lists = [&self.allow, &self.allow_group, &self.deny, &self.deny_group];
        let sight = if self.public {
            Some(Sight::Public)
        } else if self.private {
            Some(Sight::Private)
        } else if lists.iter().any(|list| !list.is_empty()) {
            Some(Sight::Lists {
                allow: self.allow,
                allow_groups: self.allow_group,
                deny: self.deny,
                deny_groups: self.deny_group,
            })
        } else {
            None
        };
        let tags = (self.no_tags || !self.tags.is_empty()).then_some(self.tags);
        Describe { channel: self.channel, path: self.path, title: self.title, tags, sight }
    }
}

fn show(described: &Description) {
    output::line(format!("path   {}", visible(&described.path)));
    output::line(format!("id     {}", described.id));
    if let Some(title) = &described.title {
        output::line(format!("title  {}", visible(title)));
    }
    if !described.tags.is_empty() {
        output::line(format!("tags   {}", visible(&described.tags.join(", "))));
    }
    output::line(format!(
        "seen   {}",
        match &described.sight {
            Sight::Public => "by everybody who may see its folder".to_owned(),
            Sight::Private => "by the channel alone".to_owned(),
            Sight::Lists { allow, allow_groups, deny, deny_groups } => {
                let lists = [
                    ("by", allow),
                    ("by groups", allow_groups),
                    ("not by", deny),
                    ("not by groups", deny_groups),
                ];
                let lists = lists.iter().filter(|(_, ids)| !ids.is_empty());
                let lists = lists.map(|(what, ids)| format!("{what} {}", visible(&ids.join(", "))));
                lists.collect::<Vec<_>>().join("; ")
            }
        }
    ));
}
