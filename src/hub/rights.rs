//! What is being served to clones at the moment, so that it can end when one is a clone no more.
//!
//! Owns: one token for each clone that is served. Not here: who is a clone (the catalog).
//! Spec: ID-17.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::catalog::{ChannelNo, SiteNo};

/// The tokens of one hub; there are never more than clones.
#[derive(Debug, Default)]
pub struct Rights(Mutex<HashMap<(ChannelNo, SiteNo), CancellationToken>>);

impl Rights {
    /// Cancelled when this clone is one no more.
    pub fn of(&self, channel: ChannelNo, site: SiteNo) -> CancellationToken {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry((channel, site)).or_default().clone()
    }

    /// Ends what is being served to clones of a channel: at one hub, or (`None`) at all.
    pub fn end(&self, channel: ChannelNo, site: Option<SiteNo>) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|(of, at), token| {
            let ends = *of == channel && site.is_none_or(|site| site == *at);
            if ends {
                token.cancel();
            }
            !ends
        });
    }
}
