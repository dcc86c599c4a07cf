//! The URL of a database.
//!
//! Invariant: what is printed of it has no password.

use std::fmt;

use url::Url;

use crate::text::visible;

/// Where a database is, and as whom it is asked.
#[derive(Clone)]
pub struct Address {
    url: Url,
    pub(super) kind: Kind,
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// MySQL or MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

/// A URL that names no database. It is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No URL at all.
    #[error("the database's URL: {0}; it looks like mysql://user@localhost/hubzilla")]
    Form(url::ParseError),
    /// Of another kind.
    #[error("a database's URL begins with mysql://, mariadb://, postgres:// or postgresql://")]
    Scheme,
    /// It names none.
    #[error("the database's URL does not end with its name: /hubzilla")]
    Name,
}

impl Address {
    /// Reads a URL; a password beside it stands in the place of one in it.
    ///
    /// # Errors
    /// [`BadAddress`], which does not repeat the URL.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, BadAddress> {
        let url = Url::parse(text).map_err(BadAddress::Form)?;
        let kind = match url.scheme() {
            "mysql" | "mariadb" => Kind::Mysql,
            "postgres" | "postgresql" => Kind::Postgres,
            _ => return Err(BadAddress::Scheme),
        };
        if url.path().trim_matches('/').is_empty() {
            return Err(BadAddress::Name);
        }
        let mut address = Self { url, kind };
        if let Some(password) = password {
            address.url.set_password(Some(password)).map_err(|()| BadAddress::Scheme)?;
        }
        Ok(address)
    }

    /// With its password: for the database alone.
    pub(super) fn secret(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        // Query and fragment may hold one, too (`?password=`).
        shown.set_query(None);
        shown.set_fragment(None);
        shown.set_password(None).map_err(|()| fmt::Error)?;
        f.write_str(&visible(shown.as_str()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A password is in no text that a person may see, wherever it stood.
    #[test]
    fn a_password_is_not_shown() {
        for text in [
            "mysql://hubzilla:secret@localhost/hz",
            "mariadb://hubzilla@localhost/hz?password=secret#secret",
            "postgres://hubzilla:secret@%2Frun%2Fpostgresql/hz",
        ] {
            let address = Address::parse(text, Some("secret")).expect("a URL");
            assert_eq!(address.secret().password(), Some("secret"));
            let shown = format!("{address} {address:?}");
            assert!(!shown.contains("secret") && shown.contains("hubzilla@"), "{shown}");
        }
        for text in ["secret", "sqlite://secret/hz", "mysql://u:secret@h", "mysql://u:secret@h/ "] {
            let Err(error) = Address::parse(text, None) else { panic!("{text} is none") };
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}
