//! Whatever is wrong with the input: a sentence with the cure, the right exit code, the other tables unharmed.

use std::sync::OnceLock;

use ol_testkit::{Fault, MysqlServer, Proxy, Software};

use super::{MysqlCase, outcome};
use crate::common::{entry, expect_told, rows, text};

const TWO: &str =
    "CREATE TABLE good (id int PRIMARY KEY, note text); INSERT INTO good VALUES (1, 'a'), (2, 'b');
     CREATE TABLE other (id int PRIMARY KEY, note text); INSERT INTO other VALUES (1, 'a');";

/// A source with two tables and a unit that lists both.
fn two_tables(deployment: &'static str) -> MysqlCase {
    let case = MysqlCase::new(deployment, TWO);
    case.discover();
    case
}

/// A run against another address must end so, with these words said.
#[track_caller]
fn expect_run(case: &MysqlCase, url: &str, code: i32, words: &[&str]) {
    let step = case.command("run").env(&case.source_variable(), url);
    let finished = case.finish(step).expect_code(code);
    expect_told(&finished, words);
    assert!(!finished.stderr.contains("open-sesame") && !finished.stdout.contains("open-sesame"));
    let document = finished.json();
    assert_eq!(document["tables"].as_array().map(Vec::len), Some(2), "{document:#}");
}

#[test]
fn logins_that_are_refused_are_told_with_their_cure() {
    let case = two_tables("mysqllogin");
    let of = |user: &str| case.database.url_as(user, "open-sesame");
    expect_run(&case, &of("ol_super"), 2, &["refused the login", &case.source_variable()]);
    let missing = case.database.url().replace(case.database.name(), "not_there");
    expect_run(&case, &missing, 2, &["no such database", "not_there"]);
    case.database
        .sql("CREATE USER strange IDENTIFIED VIA mysql_old_password USING '0123456789abcdef'");
    expect_run(&case, &of("strange"), 2, &["refused the login"]);
    let tls = format!("{}?sslmode=require", case.database.url());
    expect_run(&case, &tls, 2, &["offers no TLS", "sslmode=disable"]);
    expect_run(&case, "mysql://u:open-sesame@no-such-host.invalid/x", 1, &["no-such-host.invalid"]);
    expect_run(&case, &case.database.url_through(1), 1, &["cannot be reached"]);
    let wrong = case.database.url().replace("mysql://", "postgres://");
    expect_run(&case, &wrong, 3, &["mysql://", &case.source_variable()]);
}

/// MySQL keeps no proof of a password that has not been used since the server started: it wants the password itself, once.
#[test]
fn the_login_of_mysql_hands_no_password_over_where_others_can_read_it() {
    let case = MysqlCase::on(MysqlServer::shared_of(Software::MySql), "mysqlsha", TWO);
    case.discover();
    let name = case.database.name();
    let account = |user: &str, how: &str| {
        case.database.sql(&format!(
            "CREATE USER '{user}'@'%' {how}; GRANT SELECT ON `{name}`.* TO '{user}'@'%'"
        ));
        case.database.url_as(user, "open-sesame")
    };
    let fresh = account("fresh", "IDENTIFIED BY 'open-sesame'");
    let in_clear = format!("{fresh}?sslmode=disable");
    expect_run(&case, &in_clear, 2, &["caching_sha2_password", "sslmode=require"]);
    // Encrypted, as it is wherever the server can; then the server knows the proof.
    expect_run(&case, &fresh, 0, &[]);
    expect_run(&case, &in_clear, 0, &[]);
    expect_run(&case, &format!("{fresh}?sslmode=verify-ca"), 2, &["encrypted connection"]);
    let certified = account("certified", "IDENTIFIED BY 'open-sesame' REQUIRE X509");
    expect_run(&case, &certified, 2, &["refused the login"]);
    case.database.sql("INSTALL PLUGIN mysql_no_login SONAME 'mysql_no_login.so'");
    let nobody = account("nobody", "IDENTIFIED WITH mysql_no_login");
    expect_run(&case, &nobody, 2, &["refused the login"]);
    let expired = account("expired", "IDENTIFIED BY 'open-sesame' PASSWORD EXPIRE");
    expect_run(&case, &expired, 2, &["refused the login"]);
}

/// A certificate for 127.0.0.1 that is its own authority, and its key.
pub(crate) fn certificate(folder: &std::path::Path) -> (String, String) {
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let step = ol_testkit::Step::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=ol-flows test", "-addext", "subjectAltName=IP:127.0.0.1", "-addext"])
        .args(["basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    step.run().expect_code(0);
    (certificate.display().to_string(), key.display().to_string())
}

#[test]
fn a_connection_is_encrypted_and_the_server_is_checked_as_far_as_the_url_asks() {
    static SERVER: OnceLock<MysqlServer> = OnceLock::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let server = SERVER.get_or_init(|| {
        MysqlServer::start_with(&[&format!("ssl-cert={certificate}"), &format!("ssl-key={key}")])
    });
    let database = server.create_database("mysqltls");
    database.sql(&format!("{TWO} CREATE USER private IDENTIFIED BY 'open-sesame' REQUIRE SSL;"));
    database.sql(&format!("GRANT SELECT ON `{}`.* TO private", database.name()));
    let private = database.url_as("private", "open-sesame");
    let case = MysqlCase::of("mysqltls", database);
    case.discover();
    for done in [
        private.clone(),
        format!("{private}?sslmode=require"),
        format!("{private}?sslmode=verify-ca&sslrootcert={certificate}"),
        format!("{private}?sslmode=verify-full&sslrootcert={certificate}"),
    ] {
        expect_run(&case, &done, 0, &[]);
    }
    let named = private.replace("127.0.0.1", "localhost");
    let wrong_name = format!("{named}?sslmode=verify-full&sslrootcert={certificate}");
    expect_run(&case, &wrong_name, 2, &["encrypted connection", "sslrootcert"]);
    expect_run(&case, &format!("{private}?sslmode=verify-ca"), 2, &["encrypted connection"]);
    expect_run(&case, &format!("{private}?sslmode=disable"), 2, &["refused the login", "TLS"]);
}

#[test]
fn a_table_without_the_right_to_read_blocks_itself_only() {
    let case = two_tables("mysqlnoright");
    let name = case.database.name();
    case.database.sql(&format!(
        "CREATE USER limited IDENTIFIED BY 'open-sesame'; GRANT SELECT ON `{name}`.good TO limited"
    ));
    let url = case.database.url_as("limited", "open-sesame");
    let step = case.command("run").env(&case.source_variable(), url);
    let document = case.finish(step).expect_code(2).json();
    assert_eq!(outcome(&document, &case.raw_table("good")), "done");
    let other = entry(&document, &case.raw_table("other"));
    assert_eq!(text(other, "outcome"), "blocked");
    let advice = text(other, "advice");
    assert!(
        advice.contains("GRANT SELECT") && advice.contains(&format!("{name}.other")),
        "{advice}"
    );
}

#[test]
fn a_column_that_the_account_may_not_read_blocks_its_table() {
    let case = two_tables("mysqlcolumn");
    let name = case.database.name();
    case.database.sql(&format!(
        "CREATE USER narrow IDENTIFIED BY 'open-sesame'; GRANT SELECT (id) ON `{name}`.good TO narrow;
         GRANT SELECT ON `{name}`.other TO narrow"
    ));
    let url = case.database.url_as("narrow", "open-sesame");
    let step = case.command("run").env(&case.source_variable(), url);
    let document = case.finish(step).expect_code(2).json();
    let good = entry(&document, &case.raw_table("good"));
    assert_eq!(text(good, "outcome"), "blocked", "a column would be missing without a word");
    assert!(text(good, "advice").contains("GRANT SELECT"), "{good:#}");
    assert_eq!(outcome(&document, &case.raw_table("other")), "done");
}

#[test]
fn tables_that_were_dropped_or_altered_are_told_or_followed() {
    let case = two_tables("mysqlaltered");
    case.run(0);
    case.database
        .sql("DROP TABLE other; ALTER TABLE good ADD COLUMN more int DEFAULT 7, DROP COLUMN note");
    let document = case.run(2);
    let other = entry(&document, &case.raw_table("other"));
    assert_eq!(text(other, "outcome"), "blocked");
    assert!(text(other, "advice").contains("does not exist"), "{other:#}");
    assert_eq!(outcome(&document, &case.raw_table("good")), "done");
    let state = case.state();
    let found = ["good", "other"].map(|name| rows(&state, &case.raw_table(name)));
    assert_eq!(found, [Some(2), Some(1)], "what is in the lake stays");
}

#[test]
fn a_connection_that_breaks_in_the_midst_of_a_table_loses_nothing() {
    let case = MysqlCase::new(
        "mysqlcut",
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, note varchar(200));
         INSERT INTO t (note) SELECT REPEAT('x', 200) FROM seq_1_to_50000",
    );
    let (unit, _) = case.discover();
    let proxy = Proxy::before(MysqlServer::shared().port());
    proxy.set(Fault::CutAfter(3_000_000));
    let url = case.database.url_through(proxy.port());
    let step = case.command("run").env(&case.source_variable(), url);
    let step = step.env("OL_INGEST__ATTEMPTS", "1");
    let finished = case.finish(step).expect_code(1);
    expect_told(&finished, &["connection to the source broke"]);
    assert_eq!(rows(&case.state(), &case.raw_table("t")).unwrap_or(0), 0);
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
}
