//! Ports at which no hub is: those of protocols that could take an HTTP request, or a TLS greeting, for something of their own.
//!
//! Spec: ID-44; the list of bad ports of the WHATWG's Fetch standard, and those of databases and caches.

/// From Fetch, "port blocking", in order.
const FETCH: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];
/// MySQL, PostgreSQL, Redis, Memcached, MongoDB.
const STORES: &[u16] = &[3306, 5432, 6379, 11211, 27017];

/// Whether a port is known for something that is no hub.
pub(super) fn is_of_another_protocol(port: u16) -> bool {
    FETCH.binary_search(&port).is_ok() || STORES.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID-44: the list is in order, and the ports that hubs have are not in it.
    #[test]
    fn mail_is_no_hub() {
        assert!(FETCH.is_sorted());
        assert!([22, 25, 587, 6379, 10080].into_iter().all(is_of_another_protocol));
        assert!(![80, 443, 8080, 8443, 9000].into_iter().any(is_of_another_protocol));
    }
}
