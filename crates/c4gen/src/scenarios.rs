//! Stories along the flows of several crates; a step names a flow, so a story cannot use an arrow
//! that the model lacks.

use c4model::platform::flows::applications::{
    catalog_answers, catalog_pages, catalog_records, learner_activity, mitxonline_purchases,
    mitxonline_records, noticed_content, tracking_events,
};
use c4model::platform::flows::attached::{
    architecture_pages, ingest_credentials, ingest_requests, ingest_results, ingest_table_pointers,
    send_requests, send_results,
};
use c4model::platform::flows::data_platform::{
    build_requests, dashboard_rows, dashboards, mart_rows, model_sql, model_tables, queued_runs,
    raw_files, run_launches, run_records, run_requests, tracking_log_files,
};
use c4model::platform::flows::planned::{
    certificate_decisions, certificate_requests, crm_objects, crm_upserts, tracking_log_lines,
    transform_input, transform_requests,
};
use c4model::platform::flows::retiring::mitxonline_crm_sync;
use c4model::scenario;
use ol_ingest::run::capture::postgres_change_capture;
use ol_ingest::run::postgres::postgres_full_load;
use ol_webhook::flows::{content_notices, signed_notices};

use crate::site::write_site;

scenario! { nightly_load {
    title: "A table reaches a dashboard",
    about: "The regular round: Dagster starts a load, dbt builds the models, an analyst looks at them.",
    steps: [
        run_requests => "an engineer, or the schedule, asks for a run",
        run_records => "the webserver puts the run into the queue",
        queued_runs => "the daemon finds it there",
        run_launches => "and starts the code location's job",
        ingest_requests => "which starts ol-ingest with the tables of the unit",
        ingest_credentials => "ol-ingest fetches the database's credentials",
        postgres_full_load => "every table is read under one snapshot and committed once",
        ingest_table_pointers => "each commit moves the pointer of its table, or is refused",
        ingest_results => "Dagster hears of every table",
        build_requests => "the next asset builds the dbt models",
        model_sql => "dbt sends each model as SQL",
        raw_files => "Trino reads the raw tables",
        model_tables => "and writes staging, intermediate and marts",
        mart_rows => "a dashboard's query reads a mart",
        dashboard_rows => "its rows go to Superset",
        dashboards => "the analyst sees fresh numbers",
    ],
} }

scenario! { change_capture {
    title: "An order reaches the lake as it happens",
    about: "Log-based change capture: no load on the tables, and each change exactly once.",
    steps: [
        mitxonline_purchases => "a learner buys a course",
        mitxonline_records => "the application commits the order",
        postgres_change_capture => "its log says so; rows and position enter the lake in one snapshot",
        ingest_table_pointers => "the table's pointer moves; only then is the log acknowledged",
        raw_files => "the next query of Trino sees the order",
    ],
} }

scenario! { course_notice {
    title: "MIT Learn hears of a changed course",
    about: "Notices are signed, in order for each course, tried again for three days, and never lost in silence.",
    steps: [
        send_requests => "an asset's run asks for the notices of its content",
        content_notices => "new content becomes rows of the outbox; unchanged content is skipped",
        signed_notices => "each notice is signed anew and sent in order",
        noticed_content => "MIT Learn queues the work",
        catalog_records => "its worker rewrites the catalog entry",
        catalog_answers => "the site reads it",
        catalog_pages => "and a learner finds the course",
        send_results => "Dagster hears what became of every notice",
    ],
} }

scenario! { tracking_events_today {
    title: "A click becomes a row",
    about: "Learners' events, today through Python and DuckDB; the planned reader is the last step.",
    steps: [
        learner_activity => "a learner answers a question",
        tracking_events => "Open edX writes an event",
        tracking_log_files => "today a code location reads the files twice a day",
        tracking_log_lines => "planned: ol-ingest reads them under the same guarantees as tables",
    ],
} }

scenario! { certificate_decision {
    title: "The platform decides on certificates",
    about: "Planned. The platform computes who has earned a certificate; the application keeps the last word.",
    steps: [
        transform_requests => "Dagster asks for the decisions after a load",
        transform_input => "grades, enrollments and runs are read as they are in the lake",
        certificate_decisions => "who gets a certificate, with the reason, goes to the outbox",
        certificate_requests => "the application is asked, reads the grade again, and issues it",
        mitxonline_records => "the certificate is a row of the application's database",
    ],
} }

scenario! { crm_round {
    title: "The CRM is kept in step",
    about: "The first step is what happens today; the others replace it: one batch for all changes, in step with the lake.",
    steps: [
        mitxonline_crm_sync => "today every saved user or order starts a Celery task",
        transform_input => "planned: users, orders and products are read from the lake",
        crm_objects => "what differs from the last acknowledged state goes to the outbox",
        crm_upserts => "and to HubSpot by hundreds, under its rate limit",
    ],
} }

scenario! { architecture_pages_built {
    title: "These pages come about",
    about: "An arrow of ours is a function, so the pages cannot show what the code does not do.",
    steps: [
        write_site => "the generator collects what the crates declare, checks it and draws it",
        architecture_pages => "you read it",
    ],
} }
