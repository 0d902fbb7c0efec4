//! Which web pages may open a WebSocket (protocol.md §3).

use std::net::IpAddr;

/// Whether a page of `origin` may connect to the node of `domain`: only pages of that domain and of
/// this machine. The `Host` header has no say: a page whose name was pointed at this machine after
/// it was loaded sends its own name there too.
pub(crate) fn is_welcome(origin: &str, domain: &str) -> bool {
    let Some(host) = host_of(origin) else {
        return false;
    };
    let loopback = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case(domain)
        || host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(loopback)
}

/// The host of `scheme://host[:port]`, without the brackets of an IPv6 address.
fn host_of(origin: &str) -> Option<&str> {
    let (_, authority) = origin.split_once("://")?;
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split_once(']').map(|(host, _)| host);
    }
    authority.split(':').next()
}

#[cfg(test)]
mod tests {
    use super::is_welcome;

    #[test]
    fn pages_of_the_domain_and_of_this_machine_are_welcome() {
        for origin in [
            "https://example.com",
            "http://EXAMPLE.com:8080",
            "http://localhost:3000",
            "http://127.0.0.1:9000",
            "http://127.3.2.1",
            "http://[::1]:9000",
        ] {
            assert!(is_welcome(origin, "example.com"), "{origin}");
        }
    }

    #[test]
    fn other_pages_are_not() {
        for origin in [
            "null",
            "",
            "http://",
            "https://evil.example",
            "https://example.com.evil.example",
            "https://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://[::2]:9000",
            "http://localhost@evil.example",
        ] {
            assert!(!is_welcome(origin, "example.com"), "{origin}");
        }
    }
}
