//! Addresses in settings: the hosts that a value names. Of a value nothing else is kept: it may hold a
//! password.

/// A host that a value names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// Name or number of the host, in lower case.
    pub(super) host: String,
    /// What is spoken there, e.g. `postgres`; empty when the value does not say.
    pub(super) scheme: String,
}

/// The hosts in a value: of URLs wherever they stand in it, of `host:port` pairs separated by commas,
/// and the value itself where the name of the setting says that it is a host.
pub(super) fn addresses(setting: &str, value: &str) -> Vec<Address> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at);
        let begin = before.rfind(|character: char| !is_of_scheme(character)).map_or(0, |at| at + 1);
        let scheme = before.get(begin..).unwrap_or_default().to_lowercase();
        let after = after.get(3..).unwrap_or_default();
        let end = after.find(['/', '?', '#', ' ', '"', '\'', ';']).unwrap_or(after.len());
        let authority = after.get(..end).unwrap_or_default();
        // Several hosts may follow one login: mongodb://user:password@one:27017,two:27017/name.
        let hosts = authority.rsplit('@').next().unwrap_or_default();
        found.extend(hosts.split(',').filter_map(|host| address(host, &scheme)));
        rest = after.get(end..).unwrap_or_default();
    }
    // What may be a secret is looked at only where it is an address beyond doubt.
    if found.is_empty() && !is_secret(setting) && (is_host_setting(setting) || has_port(value)) {
        found.extend(value.split(',').filter_map(|host| address(host.trim(), "")));
    }
    found.sort();
    found.dedup();
    found
}

fn is_of_scheme(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '.' | '-')
}

/// Whether every part of the value is a host with a port.
fn has_port(value: &str) -> bool {
    value.split(',').all(|part| {
        part.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.contains(':') && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    })
}

fn is_secret(setting: &str) -> bool {
    let setting = setting.to_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH"]
        .iter()
        .any(|word| setting.contains(word))
}

fn is_host_setting(setting: &str) -> bool {
    let setting = setting.to_uppercase();
    ["HOST", "HOSTNAME", "SERVER", "SERVERS", "ENDPOINT", "ADDRESS", "ADDR", "URL", "URI"]
        .iter()
        .any(|word| setting == *word || setting.ends_with(&format!("_{word}")))
}

fn address(text: &str, scheme: &str) -> Option<Address> {
    let host = match text.strip_prefix('[') {
        Some(number) => number.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_lowercase();
    let legal = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':')
    };
    let is_host =
        !host.is_empty() && host.chars().all(legal) && !host.bytes().all(|b| b.is_ascii_digit());
    // Where something listens is no flow.
    let is_here =
        matches!(host.as_str(), "localhost" | "0.0.0.0" | "::" | "::1") || host.starts_with("127.");
    (is_host && !is_here).then(|| Address { host, scheme: scheme.to_owned() })
}

/// The technology behind a scheme.
pub(super) fn technology(scheme: &str) -> &str {
    match scheme.split('+').next().unwrap_or_default() {
        "http" | "https" => "HTTP",
        "postgres" | "postgresql" => "PostgreSQL",
        "mysql" | "mariadb" => "MySQL",
        "mongodb" => "MongoDB",
        "redis" | "rediss" => "Redis",
        "amqp" | "amqps" => "AMQP",
        _ if scheme.starts_with("jdbc") => "JDBC",
        _ => scheme,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_and_nothing_else_is_kept() {
        let hosts = |setting: &str, value: &str| -> Vec<String> {
            addresses(setting, value)
                .into_iter()
                .map(|one| format!("{} {}", one.scheme, one.host))
                .collect()
        };
        assert_eq!(
            hosts("DATABASE_URL", "postgres://me:s3cret@db.prod:5432/app?x=y"),
            ["postgres db.prod"]
        );
        assert_eq!(
            hosts("X", "mongodb://a:b@one:27017,two:27017/forum"),
            ["mongodb one", "mongodb two"]
        );
        assert_eq!(hosts("X", "jdbc:trino://trino:8080/ol"), ["trino trino"]);
        assert_eq!(hosts("BROKERS", "k1:9092, k2:9092"), [" k1", " k2"]);
        assert_eq!(hosts("REDIS_HOST", "redis"), [" redis"]);
        assert_eq!(hosts("MODE", "redis"), Vec::<String>::new());
        assert_eq!(hosts("X", "http://[2001:db8::1]:80/"), ["http 2001:db8::1"]);
        assert_eq!(hosts("BIND_HOST", "0.0.0.0:8080"), Vec::<String>::new());
        assert_eq!(hosts("X", "http://localhost:80 http://web"), ["http web"]);
        assert_eq!(hosts("PASSWORD", "a b:c"), Vec::<String>::new());
        assert_eq!(hosts("DB_PASSWORD", "correct.horse:8080"), Vec::<String>::new());
    }
}
