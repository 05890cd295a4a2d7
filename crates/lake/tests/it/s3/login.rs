//! Who asks: the chain of the AWS tools, in processes of their own, since an environment belongs to a process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ol_testkit::S3Server;

use super::OnS3;

/// What the client says when nothing was in its way.
const MADE: &str = "made s3://lake/raw/n/t";

/// What a client says that has these variables and no others of AWS.
fn outcome(s3: &OnS3, variables: &[(&str, String)]) -> String {
    let folder = s3.place.folder.path();
    let output = Command::new(ol_testkit::example("lake_login"))
        .env_clear()
        .env("HOME", folder)
        // No test asks the machine it happens to run on.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("OL_LOGIN_WAREHOUSE", "s3://lake/raw")
        .env("OL_LOGIN_CATALOG", format!("sqlite:{}", s3.place.path("catalog.db").display()))
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!shown.contains(S3Server::SECRET_ACCESS_KEY), "{shown}");
    let line = shown.lines().find_map(|line| line.strip_prefix("outcome "));
    line.unwrap_or_else(|| panic!("{shown}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment() {
    let s3 = OnS3::new();
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned());
    let variables: Vec<_> = s3.server.variables().into_iter().chain([nowhere]).collect();
    assert_eq!(outcome(&s3, &variables), MADE, "the endpoint of S3 comes first");
    let mut wrong = s3.server.variables();
    wrong[2].1 = "hunter2-wrong".to_owned();
    let said = outcome(&s3, &wrong);
    assert!(said.starts_with("WarehouseLoginRefused"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_region_and_endpoint_of_profile_files() {
    let s3 = OnS3::new();
    let (credentials, config) = (s3.place.path("credentials"), s3.place.path("config"));
    let (key, secret) = (S3Server::ACCESS_KEY_ID, S3Server::SECRET_ACCESS_KEY);
    let keys = format!(
        "[default]\naws_access_key_id = NOBODY\naws_secret_access_key = x\n\
         [lake]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    );
    std::fs::write(&credentials, keys).unwrap();
    let endpoint = s3.server.endpoint();
    let sections = format!(
        "[profile lake]\nregion = eu-west-1\nservices = here\n\
         [services here]\ns3 =\n  endpoint_url = {endpoint}\n"
    );
    std::fs::write(&config, sections).unwrap();
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.display().to_string()),
        ("AWS_CONFIG_FILE", config.display().to_string()),
        ("AWS_PROFILE", "lake".to_owned()),
    ];
    assert_eq!(outcome(&s3, &variables), MADE);
    let requests = s3.server.take_requests();
    let signed = requests.first().unwrap().header("authorization").unwrap();
    assert!(signed.contains("/eu-west-1/s3/"), "{signed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_keys_at_all_tells_where_they_were_looked_for() {
    let s3 = OnS3::new();
    let said = outcome(&s3, &[("AWS_ENDPOINT_URL", s3.server.endpoint())]);
    assert!(said.starts_with("WarehouseLoginMissing"), "{said}");
    for place in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        assert!(said.contains(place), "{said}");
    }
    assert_eq!(s3.server.take_requests().len(), 0, "nobody asks without keys");
}

/// A server that gives the keys of the S3 server to whoever asks, in the words of STS or of a container's host.
struct Giver {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Giver {
    fn start(status: &'static str, body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = vec![0; 65_536];
                let mut length = 0;
                // The request is small and its body, if any, names its role.
                while let Ok(read @ 1..) = stream.read(&mut request[length..]) {
                    length += read;
                    let text = String::from_utf8_lossy(&request[..length]).into_owned();
                    let has_ended = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        head.starts_with("GET ") || body.contains("WebIdentityToken=")
                    });
                    if has_ended {
                        count.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                }
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}");
                // A client that does not wait for its answer has failed elsewhere.
                drop(write!(stream, "{head}\r\n\r\n{body}"));
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_is_changed_for_keys() {
    let (key, secret) = (S3Server::ACCESS_KEY_ID, S3Server::SECRET_ACCESS_KEY);
    let s3 = OnS3::new();
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>\
         <SecretAccessKey>{secret}</SecretAccessKey><SessionToken>token</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    let token = s3.place.path("token");
    std::fs::write(&token, "a token of the cluster").unwrap();
    let variables = |sts: String| {
        [
            ("AWS_ENDPOINT_URL_S3", s3.server.endpoint()),
            ("AWS_ENDPOINT_URL_STS", sts),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/lake".to_owned()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        ]
    };
    let sts = Giver::start("200 OK", body);
    assert_eq!(outcome(&s3, &variables(sts.url())), MADE);
    assert_eq!(sts.asked.load(Ordering::SeqCst), 1, "keys that last are asked for once");

    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized</Message>\
                   </Error></ErrorResponse>";
    let sts = Giver::start("403 Forbidden", refusal.to_owned());
    let said = outcome(&s3, &variables(sts.url()));
    assert!(said.starts_with("WarehouseLoginRefused"), "{said}");
    let said = outcome(&s3, &variables("http://127.0.0.1:1/".to_owned()));
    assert!(said.starts_with("WarehouseUnreachable"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_container_are_renewed_before_they_end() {
    let (key, secret) = (S3Server::ACCESS_KEY_ID, S3Server::SECRET_ACCESS_KEY);
    for (lasts, is_renewed) in [(3600, false), (120, true)] {
        let s3 = OnS3::new();
        let ends = as_aws_writes(crate::support::now() + std::time::Duration::from_secs(lasts));
        let giver = Giver::start(
            "200 OK",
            serde_json::json!({
                "AccessKeyId": key, "SecretAccessKey": secret, "Token": "token", "Expiration": ends
            })
            .to_string(),
        );
        let variables = [
            ("AWS_ENDPOINT_URL_S3", s3.server.endpoint()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", giver.url()),
        ];
        assert_eq!(outcome(&s3, &variables), MADE);
        let asked = giver.asked.load(Ordering::SeqCst);
        assert_eq!(asked > 1, is_renewed, "asked {asked} times for keys of {lasts} seconds");
        assert!(asked >= 1);
    }
}

/// A moment as AWS writes it.
fn as_aws_writes(moment: std::time::SystemTime) -> String {
    let seconds = moment.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let output = Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
