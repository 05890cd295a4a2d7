//! Objects one by one, against a real server: names, sizes, faults, and what a writer costs.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use iceberg::io::Storage;
use ol_chassis::clock::{Clock, SystemClock};
use ol_chassis::secret::SecretText;
use ol_testkit::{S3Fault, S3Server, S3Then};

use super::LakeStorage;
use super::lent::Lent;
use super::options::{S3Credentials, S3Encryption, S3Options};
use crate::error::{Error, ErrorKind};

const PART: usize = 5 << 20;

fn options(server: &S3Server) -> S3Options {
    S3Options {
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        credentials: keys(S3Server::ACCESS_KEY_ID, S3Server::SECRET_ACCESS_KEY),
        retries: 2,
        part_bytes: PART,
        ..S3Options::default()
    }
}

fn keys(access_key_id: &str, secret_access_key: &str) -> S3Credentials {
    S3Credentials::Keys {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: SecretText::new(secret_access_key),
        session_token: None,
    }
}

fn storage(server: &S3Server) -> LakeStorage {
    LakeStorage::new(options(server))
}

fn address(key: &str) -> String {
    format!("s3://{}/{key}", S3Server::BUCKET)
}

fn kind(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::Unexpected, error)
}

/// Bytes that differ from part to part.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at / 1000 + at) % 251).unwrap()).collect::<Vec<_>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_back_as_they_were_written() {
    let server = S3Server::start();
    let storage = storage(&server);
    let names = [
        "plain.parquet",
        "a b/c+d&e=f.avro",
        "k=a%2Fb/%20%.x",
        "ünï/🦆/日本",
        "q?r#s/[t]{u}",
        "'single' \"double\"/back\\slash",
        "~^`|<>*$;:@,!()",
        " lead/trail /.hidden",
    ];
    for name in names {
        let address = address(&format!("odd/{name}"));
        assert!(!storage.exists(&address).await.unwrap(), "{name}");
        storage.write(&address, Bytes::from(name)).await.unwrap();
        assert!(storage.exists(&address).await.unwrap(), "{name}");
        assert_eq!(storage.read(&address).await.unwrap(), name.as_bytes());
        let hadoop = address.replace("s3://", "s3a://");
        assert_eq!(storage.metadata(&hadoop).await.unwrap().size, name.len() as u64);
    }
    let listed = storage.list(&address("odd")).await.unwrap();
    let mut wanted: Vec<String> =
        names.iter().map(|name| address(&format!("odd/{name}"))).collect();
    wanted.sort();
    let found: Vec<String> = listed.into_iter().map(|file| file.address).collect();
    assert_eq!(found, wanted);
    storage.delete_many(&wanted).await.unwrap();
    assert_eq!(storage.list(&address("odd")).await.unwrap(), Vec::new());
    // Names that would mean another object, or none, are refused and not bent.
    for name in ["", "/lead", "trail/", "a//b", "a/../b"] {
        let error = kind(storage.read(&address(name)).await.unwrap_err());
        assert_eq!(error.kind(), &ErrorKind::WarehouseUnreadable, "{name}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_lent_for_a_folder_are_for_all_that_lies_in_it() {
    let server = S3Server::start();
    let known = storage(&server);
    for key in ["raw/t/data/a", "raw/t/data/b", "raw/t2/c"] {
        known.write(&address(key), Bytes::from("x")).await.unwrap();
    }
    let strange = S3Options { credentials: keys("NOBODY", "knows"), ..options(&server) };
    let storage = LakeStorage::new(strange);
    assert!(storage.list(&address("raw/t")).await.is_err(), "our own keys are not known");
    let lent = |secret: &str| {
        let settings =
            [("s3.access-key-id", S3Server::ACCESS_KEY_ID), ("s3.secret-access-key", secret)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Lent::of(settings.into()).unwrap()
    };
    // Those of a later load take the place of earlier ones, and what is cloned knows them, too.
    let clone = storage.clone();
    storage.with(lent("worn out"), &address("raw/t"));
    assert!(clone.list(&address("raw/t")).await.is_err());
    storage.with(lent(S3Server::SECRET_ACCESS_KEY), &address("raw/t/"));
    assert_eq!(clone.list(&address("raw/t")).await.unwrap().len(), 2);
    assert!(clone.list(&address("raw/t2")).await.is_err(), "they are not for its neighbour");
    assert!(clone.list(&address("raw")).await.is_err(), "nor for what it lies in");
    let mixed = [address("raw/t/data/a"), address("raw/t2/c")];
    assert!(clone.delete_many(&mixed).await.is_err());
    clone.delete_many(&mixed[..1]).await.unwrap();
    let left = known.list(&address("raw")).await.unwrap();
    let left: Vec<String> = left.into_iter().map(|file| file.address).collect();
    assert_eq!(left, [address("raw/t/data/b"), address("raw/t2/c")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_goes_in_parts_and_a_small_one_in_one_request() {
    let server = S3Server::start();
    let storage = storage(&server);
    let whole = pattern(4 * PART + 12_345);
    let mut writer = storage.writer(&address("large")).await.unwrap();
    for piece in whole.chunks(700_001) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert!(!storage.exists(&address("large")).await.unwrap());
    writer.close().await.unwrap();
    assert!(writer.close().await.is_err(), "closed twice");
    let requests = server.take_requests();
    let parts: Vec<&str> = requests
        .iter()
        .filter(|request| request.target.contains("partNumber="))
        .map(|request| request.header("content-length").unwrap())
        .collect();
    let full = PART.to_string();
    let last = parts.iter().filter(|length| **length != full).copied().collect::<Vec<_>>();
    assert_eq!((parts.len(), last), (5, vec!["12345"]));
    assert_eq!(storage.read(&address("large")).await.unwrap(), whole);
    let reader = storage.reader(&address("large")).await.unwrap();
    for (start, end) in [(0, 10), (PART - 3, PART + 3), (whole.len() - 5, whole.len()), (7, 7)] {
        let range = u64::try_from(start).unwrap()..u64::try_from(end).unwrap();
        assert_eq!(reader.read(range).await.unwrap(), whole.slice(start..end));
    }
    assert_eq!(server.unfinished_parts(), 0);

    for length in [0, 1, PART] {
        server.take_requests();
        let address = address(&format!("small{length}"));
        storage.write(&address, whole.slice(..length)).await.unwrap();
        let requests = server.take_requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!(requests.first().unwrap().header("if-none-match"), Some("*"));
        assert_eq!(storage.read(&address).await.unwrap(), whole.slice(..length));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_or_is_dropped_leaves_nothing() {
    let server = S3Server::start();
    let storage = storage(&server);
    let refused = S3Then::answer(403, "AccessDenied");
    server.fail(S3Fault::each("PUT", "partNumber=3", refused));
    let error = kind(storage.write(&address("x"), pattern(5 * PART)).await.unwrap_err());
    assert_eq!(error.kind(), &ErrorKind::WarehouseRefused, "{error:?}");
    assert_eq!(server.unfinished_parts(), 0);
    server.heal();

    let mut writer = storage.writer(&address("x")).await.unwrap();
    writer.write(pattern(3 * PART)).await.unwrap();
    drop(writer);
    for _look in 0..500 {
        let aborted = server.take_requests().iter().any(|request| request.method == "DELETE");
        if aborted && server.unfinished_parts() == 0 {
            break;
        }
        SystemClock.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.unfinished_parts(), 0);
    assert_eq!(storage.list(&address("")).await.unwrap(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_gets_lost_is_not_a_failure() {
    let server = S3Server::start();
    let storage = storage(&server);
    let lose = |method, holds| server.fail(S3Fault::first(method, holds, S3Then::DropAnswer));
    lose("PUT", "small");
    storage.write(&address("small"), Bytes::from_static(b"once")).await.unwrap();
    assert_eq!(storage.read(&address("small")).await.unwrap(), "once");

    lose("POST", "uploads");
    lose("PUT", "partNumber=2");
    lose("POST", "uploadId=");
    let whole = pattern(2 * PART + 1);
    storage.write(&address("large"), whole.clone()).await.unwrap();
    assert_eq!(storage.read(&address("large")).await.unwrap(), whole);

    lose("GET", "list-type=2");
    assert_eq!(storage.list(&address("")).await.unwrap().len(), 2);
    lose("HEAD", "small");
    assert_eq!(storage.metadata(&address("small")).await.unwrap().size, 4);
    lose("POST", "?delete");
    storage.delete(&address("small")).await.unwrap();
    assert!(!storage.exists(&address("small")).await.unwrap());
    assert_eq!(storage.list(&address("")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_where_the_server_can_refuse() {
    let server = S3Server::start();
    let strict = storage(&server);
    let theirs = address("metadata.json");
    strict.write(&theirs, Bytes::from_static(b"theirs")).await.unwrap();
    let error = kind(strict.write(&theirs, Bytes::from_static(b"ours!!")).await.unwrap_err());
    assert_eq!(error.kind(), &ErrorKind::WarehouseUnwritable, "{error:?}");
    assert!(format!("{error:?}").contains("another object has this name already"), "{error:?}");
    assert_eq!(strict.read(&theirs).await.unwrap(), "theirs");

    // Two at the same time: one of them is asked to come again.
    server.fail(S3Fault::first("PUT", "other", S3Then::answer(409, "ConditionalRequestConflict")));
    strict.write(&address("other"), Bytes::from_static(b"x")).await.unwrap();

    // A server without the condition is believed at once, and not asked again.
    server.take_requests();
    let plain = storage(&server);
    server.fail(S3Fault::first("PUT", "plain", S3Then::answer(501, "NotImplemented")));
    for name in ["plain1", "plain2"] {
        plain.write(&address(name), Bytes::from_static(b"x")).await.unwrap();
    }
    let conditions: Vec<bool> = server
        .take_requests()
        .iter()
        .map(|request| request.header("if-none-match").is_some())
        .collect();
    assert_eq!(conditions, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_has_its_kind_whether_reading_or_writing() {
    const REGION: &str = "<Message>wrong region</Message><Region>eu-central-1</Region>";
    const KMS: &str = "<Message>not authorized to perform: kms:GenerateDataKey</Message>";
    const TOKEN: &str = "<Message>m</Message><Token-0>hunter2-token</Token-0>";
    let server = S3Server::start();
    let storage = storage(&server);
    storage.write(&address("there"), Bytes::from_static(b"x")).await.unwrap();
    let plain = "<Message>m</Message>";
    for (status, code, more, wanted) in [
        (404, "NoSuchBucket", plain, ErrorKind::WarehouseMissing),
        (301, "PermanentRedirect", plain, ErrorKind::WarehouseElsewhere),
        (400, "AuthorizationHeaderMalformed", REGION, ErrorKind::WarehouseElsewhere),
        (403, "AccessDenied", plain, ErrorKind::WarehouseRefused),
        (403, "InvalidAccessKeyId", plain, ErrorKind::WarehouseLoginRefused),
        (403, "SignatureDoesNotMatch", plain, ErrorKind::WarehouseLoginRefused),
        (400, "ExpiredToken", TOKEN, ErrorKind::WarehouseLoginExpired),
        (403, "RequestTimeTooSkewed", plain, ErrorKind::ClockWrong),
        (400, "KMS.DisabledException", plain, ErrorKind::EncryptionKeyRefused),
        (403, "AccessDenied", KMS, ErrorKind::EncryptionKeyRefused),
        (503, "SlowDown", plain, ErrorKind::WarehouseUnreachable),
        (500, "InternalError", plain, ErrorKind::WarehouseUnreachable),
        (400, "RequestTimeout", plain, ErrorKind::WarehouseUnreachable),
        (507, "XMinioStorageFull", plain, ErrorKind::NoSpace),
    ] {
        let answer = S3Then::Answer { status, code, more };
        for method in ["GET", "HEAD", "PUT", "POST"] {
            server.fail(S3Fault::each(method, "", answer.clone()));
        }
        let errors = [
            kind(storage.read(&address("there")).await.unwrap_err()),
            kind(storage.metadata(&address("there")).await.err().unwrap()),
            kind(storage.write(&address("new"), Bytes::from_static(b"y")).await.unwrap_err()),
            kind(storage.write(&address("big"), pattern(2 * PART)).await.unwrap_err()),
            storage.list(&address("")).await.unwrap_err(),
            storage.delete_many(&[address("there")]).await.unwrap_err(),
        ];
        server.heal();
        for error in errors {
            assert_eq!(error.kind(), &wanted, "{code}: {error:?}");
            assert_eq!(error.is_transient(), wanted == ErrorKind::WarehouseUnreachable);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
    assert_eq!(storage.read(&address("there")).await.unwrap(), "x");
    // What is simply not there, by the server's own word.
    let gone = kind(storage.read(&address("gone")).await.unwrap_err());
    assert_eq!(gone.kind(), &ErrorKind::WarehouseUnreadable, "{gone:?}");
    for asked in [
        storage.read("s3://nowhere/x").await.map(drop),
        storage.metadata("s3://nowhere/x").await.map(drop),
    ] {
        let nowhere = kind(asked.unwrap_err());
        assert_eq!(nowhere.kind(), &ErrorKind::WarehouseMissing, "{nowhere:?}");
    }
    // A deletion that succeeds for all but some.
    server.fail(S3Fault::first("POST", "?delete", S3Then::answer(200, "AccessDenied")));
    let error = storage.delete_many(&[address("there")]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::WarehouseRefused, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for_and_what_lasts_is_transient() {
    let server = S3Server::start();
    let storage = LakeStorage::new(S3Options {
        request_timeout: Duration::from_millis(500),
        ..options(&server)
    });
    for then in [
        S3Then::answer(503, "SlowDown"),
        S3Then::answer(500, "InternalError"),
        S3Then::answer(400, "RequestTimeout"),
        S3Then::Cut,
        S3Then::Delay(Duration::from_secs(2)),
    ] {
        let address = address(&format!("{then:?}"));
        for method in ["PUT", "GET"] {
            server.fail(S3Fault::first(method, "lake", then.clone()));
        }
        storage.write(&address, Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(storage.read(&address).await.unwrap(), "x", "{then:?}");
        for method in ["PUT", "GET"] {
            server.fail(S3Fault::each(method, "lake", then.clone()));
        }
        let written = storage.write(&format!("{address}2"), Bytes::from_static(b"x")).await;
        for error in [written.unwrap_err(), storage.read(&address).await.unwrap_err()] {
            let error = kind(error);
            assert_eq!(error.kind(), &ErrorKind::WarehouseUnreachable, "{then:?}: {error:?}");
        }
        server.heal();
    }
    let nobody = LakeStorage::new(S3Options {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        ..options(&server)
    });
    let error = kind(nobody.read(&address("x")).await.unwrap_err());
    assert_eq!(error.kind(), &ErrorKind::WarehouseUnreachable, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_wrong_are_named_and_never_shown() {
    let server = S3Server::start();
    for credentials in
        [keys("NOBODY", "hunter2-wrong"), keys(S3Server::ACCESS_KEY_ID, "hunter2-wrong")]
    {
        let shown = format!("{credentials:?}");
        let storage = LakeStorage::new(S3Options { credentials, ..options(&server) });
        let error = kind(storage.read(&address("x")).await.unwrap_err());
        assert_eq!(error.kind(), &ErrorKind::WarehouseLoginRefused, "{error:?}");
        let shown = format!("{shown} {storage:?} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_objects_are_listed_in_pages_and_deleted_by_the_thousand() {
    let server = S3Server::start();
    let storage = storage(&server);
    let folder = server.bucket_folder(S3Server::BUCKET).join("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..2_500 {
        std::fs::write(folder.join(format!("{number}.parquet")), "x").unwrap();
    }
    std::fs::write(server.bucket_folder(S3Server::BUCKET).join("many-more"), "x").unwrap();
    let listed = storage.list(&address("many")).await.unwrap();
    assert_eq!(listed.len(), 2_500);
    assert!(listed.iter().all(|file| file.bytes == 1 && file.modified <= SystemClock.now()));
    assert_eq!(server.take_requests().len(), 3);
    let addresses: Vec<String> = listed.into_iter().map(|file| file.address).collect();
    storage.delete_many(&addresses).await.unwrap();
    assert_eq!(server.take_requests().len(), 3);
    assert_eq!(storage.list(&address("many")).await.unwrap(), Vec::new());
    assert!(storage.exists(&address("many-more")).await.unwrap());
    storage.delete_prefix(&address("many-more-is-nothing")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_asked_for_each_object() {
    let server = S3Server::start();
    let key_id = Some("alias/lake".to_owned());
    let storage = LakeStorage::new(S3Options {
        encryption: Some(S3Encryption::Kms { key_id }),
        ..options(&server)
    });
    storage.write(&address("small"), Bytes::from_static(b"x")).await.unwrap();
    storage.write(&address("large"), pattern(PART + 1)).await.unwrap();
    let asked: Vec<_> = server
        .take_requests()
        .into_iter()
        .filter(|request| !request.target.contains("uploadId="))
        .map(|request| {
            let header = |name| request.header(name).map(str::to_owned);
            (
                header("x-amz-server-side-encryption"),
                header("x-amz-server-side-encryption-aws-kms-key-id"),
            )
        })
        .collect();
    let wanted = (Some("aws:kms".to_owned()), Some("alias/lake".to_owned()));
    assert_eq!(asked, [wanted.clone(), wanted]);
}

/// Bytes that are counted while anybody holds them.
struct Counted {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_holds_a_few_parts_however_slow_the_server_is() {
    const PIECE: usize = 1 << 20;
    let server = S3Server::start();
    let storage = LakeStorage::new(S3Options { parts_in_flight: 2, ..options(&server) });
    server.fail(S3Fault::each("PUT", "partNumber", S3Then::Delay(Duration::from_millis(50))));
    let held = Arc::new(AtomicUsize::new(0));
    let mut most = 0;
    let mut writer = storage.writer(&address("large")).await.unwrap();
    for _piece in 0..80 {
        held.fetch_add(PIECE, Ordering::SeqCst);
        let counted = Counted { bytes: vec![1; PIECE], held: Arc::clone(&held) };
        most = most.max(held.load(Ordering::SeqCst));
        writer.write(Bytes::from_owner(counted)).await.unwrap();
    }
    writer.close().await.unwrap();
    assert_eq!(held.load(Ordering::SeqCst), 0);
    assert_eq!(storage.metadata(&address("large")).await.unwrap().size, 80 << 20);
    // Two parts under way, one that is filled, and the piece that did not fit.
    assert!(most <= 3 * PART + 2 * PIECE, "{most} bytes were held");
}
