//! Files of others as they really look, with their corners: read, held against the declarations, drawn.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};

use c4gen::import::mapping::{Comparison, Mapping};
use c4gen::import::{Imported, Origin, import, import_texts};
use c4gen::layout::elk::Elk;
use c4gen::layout::{Cache, Layout as _};
use c4gen::site::{Input, pages, scenes};
use c4gen::{collect, diff, geometry};

const ORIGINS: [Origin; 7] = [
    Origin::Airbyte,
    Origin::Inventory,
    Origin::Dbt,
    Origin::Dagster,
    Origin::OpenLineage,
    Origin::Kubernetes,
    Origin::Compose,
];

/// The texts of an origin's files, by names that do not depend on where the test runs.
fn texts(origin: Origin) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports").join(origin.word());
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn imported(origin: Origin) -> Imported {
    import_texts(origin, &texts(origin)).unwrap()
}

/// What was read, a line each: flows with their parts, then what was left out.
fn told(imported: &Imported) -> Vec<String> {
    let short = |id: &str| id.split_once(':').map_or(id, |(_, rest)| rest).to_owned();
    let flows = imported.flows.iter().map(|flow| {
        let through = flow.through.as_deref().map(|id| format!(" by {}", short(id)));
        let parts: Vec<&str> = flow.parts.iter().map(String::as_str).collect();
        format!(
            "{} → {}{} [{}; {}] {}",
            short(&flow.from),
            short(&flow.to),
            through.unwrap_or_default(),
            flow.tech,
            flow.cadence,
            parts.join(", ")
        )
    });
    let left = imported
        .left_out
        .iter()
        .map(|one| format!("- {} {}: {}: {}", one.place.path, one.place.at, one.what, one.why));
    flows.chain(left).collect()
}

fn mapping() -> Mapping {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports/mapping.toml");
    Mapping::read(&path).unwrap()
}

#[test]
fn airbyte_in_both_forms() {
    assert_eq!(
        told(&imported(Origin::Airbyte)),
        [
            "source/Forum → destination/S3 Glue Data Lake by airbyte [Airbyte; every 24 hours] forum.contents as raw__mitx__forum__contents (incremental append_dedup)",
            "source/MITx Online Production Application Database → destination/S3 Glue Data Lake by airbyte [Airbyte; cron 0 0 */6 * * ? UTC] courses_course as raw__mitxonline__app__postgres__courses_course (full_refresh_overwrite), public.users_user as raw__mitxonline__app__postgres__users_user (incremental_deduped_history)",
            "source/a1b7d6b4-5c0e-4f6a-8f52-00000000dead → destination/S3 Glue Data Lake by airbyte [Airbyte; every 24 hours] contacts as contacts (incremental_append)",
            "- connections.json /data/1: Bootcamps (switched off): the connection is inactive",
            "- web_backend.json /connections/0/syncCatalog/streams/1: edX.org forum: subscriptions: the stream is not selected",
        ]
    );
}

#[test]
fn the_inventory_of_every_loader() {
    assert_eq!(
        told(&imported(Origin::Inventory)),
        [
            "unit/mitxonline/app_postgres → raw_lake by loader/ol_ingest [ol_ingest; ] courses_course as raw__mitxonline__app__postgres__courses_course (full_refresh_overwrite), users_user as raw__mitxonline__app__postgres__users_user (incremental_update)",
            "unit/xpro/openedx_mysql → raw_lake by loader/airbyte [airbyte; ] auth_user as raw__xpro__openedx__mysql__auth_user (incremental_append)",
            "- retired.yml /: bootcamps/app_postgres: the unit lists no table",
        ]
    );
}

#[test]
fn dbt_with_ephemeral_disabled_and_exposed() {
    assert_eq!(
        told(&imported(Origin::Dbt)),
        [
            "schema/ol_data_lake_production.ol_warehouse_production_mart → exposure/enrollment_dashboard [trino; ] enrollment_dashboard",
            "schema/ol_data_lake_production.ol_warehouse_production_raw → schema/ol_data_lake_production.ol_warehouse_production_staging [trino; ] stg__mitxonline__users",
            "schema/ol_data_lake_production.ol_warehouse_production_reference → schema/ol_data_lake_production.ol_warehouse_production_mart [trino; ] marts__combined_users",
            "schema/ol_data_lake_production.ol_warehouse_production_snapshot → schema/ol_data_lake_production.ol_warehouse_production_mart [trino; ] marts__combined_users",
            "schema/ol_data_lake_production.ol_warehouse_production_staging → schema/ol_data_lake_production.ol_warehouse_production_mart [trino; ] marts__combined_users",
            "schema/ol_data_lake_production.ol_warehouse_production_staging → schema/ol_data_lake_production.ol_warehouse_production_snapshot [trino; ] users_history",
            "- manifest.json /disabled/model.open_learning.old_users: model.open_learning.old_users: it is disabled",
            "- manifest.json /nodes/model.open_learning.switched_off_in_place: model.open_learning.switched_off_in_place: it is disabled",
        ]
    );
}

#[test]
fn dagster_across_code_locations() {
    assert_eq!(
        told(&imported(Origin::Dagster)),
        [
            "group/lakehouse/raw → group/lakehouse/staging [dbt; ] ol_warehouse_raw_data/raw__mitxonline__app__postgres__users_user → staging/stg__mitxonline__users",
            "group/lakehouse/staging → group/learning_resources/webhooks [rust; ] staging/stg__mitxonline__users → learn/sent_courses",
            "source/edxorg_archive → group/learning_resources/webhooks [rust; ] edxorg_archive → learn/sent_courses",
            "source/s3/ol-devops-artifacts → group/learning_resources/webhooks [rust; ] s3/ol-devops-artifacts/course_archive → learn/sent_courses",
        ]
    );
}

#[test]
fn open_lineage_in_pieces_and_twice() {
    assert_eq!(
        told(&imported(Origin::OpenLineage)),
        [
            "namespace/kafka://broker:9092 → namespace/trino://trino:8080 [; ] ol.mart.users (flink/tail)",
            "namespace/postgres://mitxonline-db:5432 → namespace/s3://ol-data-lake-raw [; ] raw/users_user (spark/copy_users)",
            "namespace/s3://ol-data-lake-raw → namespace/trino://trino:8080 [; ] ol.mart.users (dbt/marts), ol.mart.users (flink/tail)",
            "- events.ndjson line 7 /: a dataset: the event is of a dataset, and tells of no flow",
            "- events.ndjson line 8 /: 0190a3f0-0000-7000-8000-000000000003 spark/lonely: no event names an output",
        ]
    );
}

#[test]
fn kubernetes_in_lists_and_through_settings() {
    assert_eq!(
        told(&imported(Origin::Kubernetes)),
        [
            "ingress/learn/learn → workload/learn/learn-web [HTTP; ] learn.example.org/api",
            "workload/learn/learn-web → host/search.internal.example.org [HTTP; ] OPENSEARCH_URL, SEARCH",
            "workload/learn/learn-web → service/identity/keycloak [HTTP; ] KEYCLOAK_BASE_URL",
            "workload/learn/learn-web → workload/learn/redis-node [Redis; ] CELERY_BROKER_URL, REDIS_HOST",
            "workload/learn/nightly → host/learn.abc.rds.amazonaws.com [PostgreSQL; ] DB_URL",
            "- objects.yaml document 2 /spec/template/spec/containers/0/env/0: kubernetes:workload/learn/learn-web DATABASE_URL: its value is in a secret, which is not read",
            "- objects.yaml document 2 /spec/template/spec/containers/0/envFrom/1/configMapRef: ConfigMap learn/elsewhere: it is not among the files, so what it names is not known",
            "- objects.yaml document 2 /spec/template/spec/containers/0/envFrom/2: kubernetes:workload/learn/learn-web: its environment is in a secret, which is not read",
            "- objects.yaml document 3 /items/3: ReplicaSet learn/learn-web-abc: a Deployment made it",
            "- objects.yaml document 4 /spec/rules/0/http/paths/1/backend: learn.example.org/static: the backend is no service",
            "- objects.yaml document 7 /: ServiceAccount learn/learn: an object of this kind tells of no flow",
        ]
    );
}

#[test]
fn compose_in_short_and_long_forms() {
    assert_eq!(
        told(&imported(Origin::Compose)),
        [
            "service/celery → container/edx.devstack.lms [HTTP; ] OPENEDX_API_BASE_URL, external_links",
            "service/celery → host/api.hubapi.com [HTTP; ] MITOL_HUBSPOT_API_URL",
            "service/celery → service/db [PostgreSQL; ] DATABASE_URL, depends_on",
            "service/celery → service/redis [Redis; ] CELERY_BROKER_URL, depends_on",
            "service/nginx → service/web [; ] UPSTREAM, depends_on",
            "service/web → host/api.hubapi.com [HTTP; ] MITOL_HUBSPOT_API_URL",
            "service/web → service/db [PostgreSQL; ] DATABASE_URL, depends_on, links",
            "service/web → service/keycloak [HTTP; ] KEYCLOAK_URL",
            "service/web → service/redis [Redis; ] CELERY_BROKER_URL, depends_on, links",
            "- docker-compose.yml /services/web/env_file: web: what `env_file` adds is not read",
        ]
    );
}

#[test]
fn no_secret_is_kept_and_the_bytes_are_the_same() {
    for origin in ORIGINS {
        let text = imported(origin).to_json();
        for secret in ["never-read-this", "correct.horse", "reader:", "postgres:never"] {
            assert!(!text.contains(secret), "{origin:?} keeps {secret}");
        }
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports").join(origin.word());
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let forwards = import(origin, &paths).unwrap().to_json();
        paths.reverse();
        assert_eq!(forwards, import(origin, &paths).unwrap().to_json(), "{origin:?}");
        let read: Imported = serde_json::from_str(&forwards).unwrap();
        assert_eq!(read.to_json(), forwards);
        assert_eq!(read.clone().with(read).to_json(), forwards, "{origin:?} twice is once");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_cure() {
    let cases = [
        (Origin::Airbyte, "{\"data\": [", "line 1: it cannot be read: EOF"),
        (Origin::Airbyte, "{}", "/: there are neither connections nor"),
        (
            Origin::Airbyte,
            r#"{"data":[{"connectionId":"1","sourceId":"2"}]}"#,
            "/data/0: there is no `destinationId`; export",
        ),
        (
            Origin::Airbyte,
            r#"{"data":[{"connectionId":"1","sourceId":"2","destinationId":"3"}]}"#,
            "/data/0: the connection lists no streams",
        ),
        (
            Origin::Airbyte,
            r#"[{"connectionId":"1","sourceId":2,"destinationId":"3"}]"#,
            "/0/sourceId: a number stands where a text belongs",
        ),
        (
            Origin::Inventory,
            "loader: ol_ingest\nversion: 7\n",
            "line 2 version: this build reads version 1",
        ),
        (Origin::Inventory, "loader: dlt\nlayer: a\n", "/: there is no `deployment`; a unit names"),
        (Origin::Inventory, "a: [\n", "line 1: this is not the YAML of a unit"),
        (Origin::Dbt, "{}", "/: there is no `metadata`; give target/manifest.json"),
        (
            Origin::Dbt,
            r#"{"metadata":{"dbt_schema_version":"https://schemas.getdbt.com/dbt/run-results/v6.json"}}"#,
            "/metadata: `https://schemas.getdbt.com/dbt/run-results/v6.json` is no manifest's version",
        ),
        (
            Origin::Dbt,
            r#"{"metadata":{"dbt_schema_version":"https://schemas.getdbt.com/dbt/manifest/v99.json"}}"#,
            "/metadata: the manifest is of version 99; give",
        ),
        (
            Origin::Dbt,
            r#"{"metadata":{"dbt_schema_version":"x/manifest/v12.json"},"nodes":{"model.a.b":{"resource_type":"model","name":"b","schema":"s","depends_on":{"nodes":["model.a.gone"]}}}}"#,
            "/nodes/model.a.b: `model.a.b` depends on `model.a.gone`, which",
        ),
        (
            Origin::Dagster,
            r#"{"errors":[{"message":"no field"}]}"#,
            "/: Dagster answered with an error: no field; give",
        ),
        (
            Origin::Dagster,
            r#"{"data":{"assetNodes":[{"assetKey":{"path":["a"]}}]}}"#,
            "/data/assetNodes/0: there is no `dependencyKeys`; give",
        ),
        (
            Origin::Dagster,
            r#"{"data":{"assetNodes":[{"assetKey":{"path":[]},"dependencyKeys":[]}]}}"#,
            "/data/assetNodes/0/assetKey/path: the key is empty",
        ),
        (Origin::OpenLineage, "{\"job\":1}\n", "line 1 /job: there is no `namespace`"),
        (Origin::OpenLineage, "\n[]\n", "line 2 /: there is neither a job nor a dataset"),
        (Origin::OpenLineage, "not json", "line 1: it cannot be read"),
        (Origin::Kubernetes, "a: 1\n---\nb: 2\n", "document 1 /: there is no `kind`; give objects"),
        (
            Origin::Kubernetes,
            "kind: Kustomization\nresources: [a.yaml]\n",
            "/: this is not an object but how to make some; give",
        ),
        (Origin::Kubernetes, "kind: Deployment\nmetadata: {name: {{ .Values.name }}}\n", ""),
        (
            Origin::Kubernetes,
            "kind: Deployment\nmetadata: {name: a}\nspec: {}\n",
            "/spec: there is no `template`",
        ),
        (Origin::Compose, "version: '3'\n", "/: there are no `services`"),
        (
            Origin::Compose,
            "services: {a: {depends_on: [b]}}\n",
            "/services/a/depends_on/0: `a` names the service `b`, which is not there",
        ),
        (
            Origin::Compose,
            "services: {a: {depends_on: 3}}\n",
            "/services/a/depends_on: a number stands where a map belongs",
        ),
    ];
    for (origin, text, expected) in cases {
        let error = import_texts(origin, &[("x".to_owned(), text.to_owned())]).unwrap_err();
        let expected = format!("cannot import x at {expected}");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(error.to_string().contains("; "), "{error} names no cure");
    }
}

#[test]
fn a_mapping_that_cannot_be_understood_is_refused() {
    for (text, expected) in [
        ("[[same]]\ndeclared = \"a\"\n", "line 1: missing field `imported`"),
        ("[[ignored]]\nimported = [\"a\"]\nreason = \" \"\n", "`a`: no reason is given"),
        ("[[same]]\ndeclared = \"a\"\nimported = [\"a[\"]\n", "`a[`: "),
    ] {
        let error = Mapping::parse(Path::new("m.toml"), text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot import m.toml at {expected}")), "{error}");
    }
}

#[test]
fn what_is_imported_is_held_against_what_is_declared_in_both_directions() {
    let model = collect::model();
    let mapping = mapping();
    let all = ORIGINS.into_iter().take(2).map(imported).fold(Imported::default(), Imported::with);
    let comparison = Comparison::new(&model, &all, &mapping);
    let found: Vec<String> = comparison
        .findings()
        .into_iter()
        .map(|finding| format!("{} {}: {}", finding.check, finding.subject, finding.message))
        .collect();
    assert_eq!(
        found,
        [
            "I1 airbyte:source/Forum → airbyte:destination/S3 Glue Data Lake: Rows of streams is imported (web_backend.json at /connections/0) and no declared flow goes from `glue_catalog` to `raw_lake`",
            "I1 inventory:unit/xpro/openedx_mysql: xpro/openedx_mysql is imported (xpro_openedx.yml at /) and not declared; declare it, or name it in the mapping",
            "I2 airbyte_table_pointers: is declared, and no imported flow of airbyte says so although both its ends were imported",
            "I3 airbyte:source/Bootcamps: the mapping names it, and nothing imported matches; remove the pattern",
            "I3 airbyte:source/Trino: the mapping names it, and nothing imported matches; remove the pattern",
            "I3 no_such_element: the mapping of `compose:service/db` names it, and nothing declares it",
        ]
    );
    assert_eq!(comparison.declared(), 3);
}

#[test]
fn what_is_imported_is_drawn_beside_what_is_declared() {
    let all = ORIGINS.into_iter().map(imported).fold(Imported::default(), Imported::with);
    let model = collect::model();
    let mapping = mapping();
    let merged = Comparison::new(&model, &all, &mapping).merged();
    let found = diff::differences(&model, &merged);
    let added = |id: &str| found.iter().any(|one| one.id == id && one.change.sign() == '+');
    assert!(added("imported_dbt") && !added("imported_airbyte"));
    let changed = found.iter().find(|one| one.id == "application_rows").unwrap();
    assert_eq!(changed.fields.len(), 1, "{changed:?}");
    assert!(changed.fields[0].2.contains("connections.json"), "{changed:?}");
    for scene in scenes(&merged) {
        let placement = Elk.place(&scene).unwrap();
        assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new(), "{}", scene.id);
    }

    let mut input = Input::new(model, Cache::default(), None);
    input.imported = Some((all, mapping));
    let files = pages(&mut input, &Elk).unwrap();
    let page = &files["imported.html"];
    assert!(page.contains("dbt:schema/ol_data_lake_production.ol_warehouse_production_mart"));
    assert!(files["index.html"].contains("imported.html"));
    assert!(files["system-imported_kubernetes.html"].contains("learn-web"));
    assert!(
        files["flow-application_rows.html"].contains("imported (airbyte): connections.json at")
    );
}
