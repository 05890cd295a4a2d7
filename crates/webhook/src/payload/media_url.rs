//! Which links of a video MIT Learn follows.
//!
//! It fetches some of them and hands the rest to browsers, so one link on another host refuses the whole payload. The
//! check is a little stricter than that of the receiver, which removes tabs and line feeds before it looks.

/// Whether the link is `https`, without user name or backslash in front of the path, on one of the hosts. A host with
/// a dot in front stands for every name that ends so.
pub(super) fn is_allowed(link: &str, hosts: &[String]) -> bool {
    let Some(host) = host(link) else { return false };
    let host = host.to_ascii_lowercase();
    hosts.iter().map(|allowed| allowed.to_ascii_lowercase()).any(|allowed| {
        !allowed.is_empty()
            && (host == allowed || allowed.starts_with('.') && host.ends_with(&allowed))
    })
}

/// Whether the path of the link is that of a stream: the receiver stores nothing for a video without one.
pub(super) fn is_stream(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    // Python cuts parameters off the last part of a path.
    let file = file.split(';').next().unwrap_or_default();
    !folders.is_empty() && file.ends_with(".m3u8")
}

/// The host, as far as the link can be trusted to have one.
fn host(link: &str) -> Option<&str> {
    if link.chars().any(char::is_control) {
        return None;
    }
    let (scheme, rest) = link.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let is_plain =
        authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    let host = authority.split(':').next()?;
    (is_plain && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_on_allowed_hosts() {
        let hosts = [".cloudfront.net".to_owned(), "Video.odl.mit.edu".to_owned(), String::new()];
        for link in [
            "https://du3yhovcx8dht.cloudfront.net/transcoded/k/video__index.m3u8",
            "HTTPS://A.CloudFront.NET:443",
            "https://a.b.cloudfront.net?x=https://evil.io",
            "https://video.odl.mit.edu#é",
            "https://a.cloudfront.net/a thumbnail.jpg",
        ] {
            assert!(is_allowed(link, &hosts), "{link}");
        }
        for link in [
            "",
            "http://a.cloudfront.net/",
            "https:/a.cloudfront.net/",
            "//a.cloudfront.net/",
            "https://cloudfront.net/",
            "https://evilcloudfront.net/",
            "https://a.cloudfront.net.evil.io/",
            "https://a.cloudfront.net@evil.io/",
            "https://user@a.cloudfront.net/",
            "https://evil.io\\@a.cloudfront.net/",
            "https://a.cloudfront.net\\.evil.io/",
            "https://www.video.odl.mit.edu/",
            "https:///a.cloudfront.net",
            "https://a.cloud\tfront.net/",
            "https://a .cloudfront.net/",
            "https://a.cloudfront.net/\nx",
            " https://a.cloudfront.net/",
            "https://[::1].cloudfront.net/",
            "https://é.cloudfront.net/",
        ] {
            assert!(!is_allowed(link, &hosts), "{link}");
        }
    }

    #[test]
    fn streams() {
        for link in ["https://a/b.m3u8", "https://a/b.m3u8?x=1", "https://a/b.m3u8;x=1#y"] {
            assert!(is_stream(link), "{link}");
        }
        for link in
            ["https://a/b.mp4", "https://a/b.mp4?x=.m3u8", "https://a/b;x.m3u8", "https://a/b.M3U8"]
        {
            assert!(!is_stream(link), "{link}");
        }
    }
}
