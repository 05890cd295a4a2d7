//! Glue and STS as moto has them, with Glue's version check: see `tests/aws/glue.py`.
//!
//! There is no Glue that could be installed, so that what AWS really answers is proven on AWS alone.

use std::process::Command;
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::Value;

use crate::binary::workspace_root;
use crate::install::install;
use crate::service::Service;

/// How long the server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running server. It takes any credentials.
#[derive(Debug)]
pub struct GlueServer {
    service: Service,
    client: Client,
}

impl GlueServer {
    /// The region that its tables are in.
    pub const REGION: &'static str = "us-east-1";

    /// Starts a server without databases.
    pub fn start() -> Self {
        let cache = install(&["python", "venv-aws", "tests/aws/requirements.txt"]);
        let service = Service::start("glue", |_, port| {
            let mut command = Command::new(cache.join("venv-aws/bin/python"));
            command
                .arg(workspace_root().join("tests/aws/glue.py"))
                .arg(port.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("AWS_DEFAULT_REGION", Self::REGION);
            command
        });
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        let server = Self { service, client: client.expect("a client needs nothing") };
        server.service.wait_until(START, || {
            let answer = server.client.get(format!("{}/moto-api/", server.url())).send();
            answer.is_ok_and(|answer| answer.status().is_success())
        });
        server
    }

    /// Its address, for `AWS_ENDPOINT_URL_GLUE` and `AWS_ENDPOINT_URL_STS`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.service.port())
    }

    /// What Glue answers to an operation: the status and the document.
    #[track_caller]
    pub fn glue(&self, operation: &str, document: &Value) -> (u16, Value) {
        let asked = self
            .client
            .post(self.url())
            .header("Authorization", signed_for("glue"))
            .header("X-Amz-Target", format!("AWSGlue.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.1")
            .body(document.to_string());
        let (status, body) = answered(asked);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Makes a bucket, in which the same address keeps objects as S3 does.
    #[track_caller]
    pub fn make_bucket(&self, name: &str) {
        let asked = self.client.put(format!("{}/{name}", self.url()));
        let (status, body) = answered(asked.header("Authorization", signed_for("s3")));
        assert_eq!(status, 200, "{body}");
    }

    /// What STS answers to a service account of Kubernetes that shows its token: the status and the XML.
    #[track_caller]
    pub fn assume_role_with_web_identity(&self, role: &str, token: &str) -> (u16, String) {
        let form = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={role}\
             &RoleSessionName=test&WebIdentityToken={token}"
        );
        let asked = self.client.post(self.url()).header("Authorization", signed_for("sts"));
        answered(asked.header("Content-Type", "application/x-www-form-urlencoded").body(form))
    }
}

/// What tells the server which service is meant; nobody checks the signature.
fn signed_for(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
        GlueServer::REGION
    )
}

#[track_caller]
fn answered(request: reqwest::blocking::RequestBuilder) -> (u16, String) {
    let answer = request.send().unwrap_or_else(|error| panic!("Glue: {error}"));
    (answer.status().as_u16(), answer.text().unwrap_or_default())
}
