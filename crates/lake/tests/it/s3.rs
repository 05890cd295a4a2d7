//! The warehouse on S3: the same behaviour as in a folder, and what only a network does.

use std::collections::BTreeSet;
use std::time::Duration;

use ol_chassis::secret::SecretText;
use ol_lake::{Commit, Lake, LakeSettings, Operation, S3Credentials, S3Options};
use ol_testkit::S3Server;

use crate::support::{
    NAMESPACE, Place, commit_rows, definition, files_below, identifiers, name, now, two_columns,
};

struct OnS3 {
    server: S3Server,
    place: Place,
}

impl OnS3 {
    fn new() -> Self {
        Self { server: S3Server::start(), place: Place::new() }
    }

    fn options(&self) -> S3Options {
        S3Options {
            endpoint: Some(self.server.endpoint()),
            region: Some("us-east-1".to_owned()),
            credentials: S3Credentials::Keys {
                access_key_id: S3Server::ACCESS_KEY_ID.to_owned(),
                secret_access_key: SecretText::new(S3Server::SECRET_ACCESS_KEY),
                session_token: None,
            },
            retries: 2,
            ..S3Options::default()
        }
    }

    fn settings(&self, s3: S3Options) -> LakeSettings {
        let warehouse = format!("s3://{}/raw warehouse/ünï+", S3Server::BUCKET);
        LakeSettings { warehouse, s3, ..self.place.settings() }
    }

    async fn open_with(&self, s3: S3Options) -> Lake {
        let lake = Lake::open(self.settings(s3)).await.unwrap();
        lake.ensure_namespace(NAMESPACE).await.unwrap();
        lake
    }

    async fn open(&self) -> Lake {
        self.open_with(self.options()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_on_s3_is_made_filled_replaced_and_swept() {
    let s3 = OnS3::new();
    let lake = s3.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    assert_eq!(table.location(), format!("s3://lake/raw warehouse/ünï+/{NAMESPACE}/t"));
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 10..20).await.table;
    assert_eq!(identifiers(&lake, &name("t")).await, (0..20).collect::<Vec<_>>());
    let table = commit_rows(&lake, &table, Operation::Overwrite, 20..30).await.table;
    assert_eq!(identifiers(&lake, &name("t")).await, (20..30).collect::<Vec<_>>());
    let inside: BTreeSet<_> =
        files_below(&s3.server.bucket_folder(S3Server::BUCKET)).into_iter().collect();

    crate::support::write(&table, vec![crate::support::batch(&table, 90..99)]).await;
    let dropped = lake.create(&definition("dropped", two_columns())).await.unwrap();
    lake.commit(&dropped, Commit::new(Operation::Append, Vec::new())).await.unwrap();
    lake.drop_table(&name("dropped")).await.unwrap();
    let now = now() + Duration::from_secs(3600);
    let orphans = lake.orphans(&name("t"), Duration::from_secs(60), now).await.unwrap();
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    assert!(orphans[0].path.starts_with(table.location()), "{orphans:?}");
    let tables = lake.orphan_tables(NAMESPACE, Duration::from_secs(60), now).await.unwrap();
    assert_eq!(tables.len(), 3, "{tables:?}");
    lake.delete_orphans(&orphans).await.unwrap();
    lake.delete_orphans(&tables).await.unwrap();
    lake.delete_orphans(&tables).await.unwrap();
    let left: BTreeSet<_> =
        files_below(&s3.server.bucket_folder(S3Server::BUCKET)).into_iter().collect();
    assert_eq!(left, inside);
    assert_eq!(identifiers(&lake, &name("t")).await, (20..30).collect::<Vec<_>>());
}
