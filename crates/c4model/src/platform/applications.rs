//! The applications whose databases and files the platform reads, and those it tells what changed.

use crate::macros::listed_elements;

listed_elements! { APPLICATIONS:

(pub OpenLearning: Group { id: "open_learning", name: "MIT Open Learning",
    owner: "Open Learning", summary: "The services of MIT Open Learning" })
(pub LearningApplications: Group in OpenLearning { id: "learning_applications",
    name: "Learning applications", owner: "application teams",
    summary: "Catalogs, commerce and learners' records" })

(
    /// One PostgreSQL database an application; the inventory's layer `app_postgres`.
    pub ApplicationPostgres: family of Container in LearningApplications {
        id: "application_postgres", name: "Application databases", shape: Database,
        tech: "PostgreSQL (RDS)", owner: "application teams",
        summary: "Every application's own PostgreSQL database" })

(pub MitxOnline: System in LearningApplications { id: "mitxonline", name: "MITx Online",
    tech: "Django, React", owner: "MITx Online", summary: "Sells and runs courses with certificates" })
(pub MitxOnlineApp: Container in MitxOnline { id: "mitxonline_app", name: "MITx Online application",
    tech: "Django REST", owner: "MITx Online", summary: "Shop, enrollments, certificates" })
(pub MitxOnlineWorkers: Container in MitxOnline { id: "mitxonline_workers",
    name: "MITx Online workers", tech: "Celery", owner: "MITx Online",
    summary: "Scheduled and triggered jobs" })
(pub MitxOnlineDatabase: ApplicationPostgres as "mitxonline" in MitxOnline {
    id: "mitxonline_database", name: "MITx Online DB", owner: "MITx Online",
    summary: "Orders, enrollments, certificates" })

(pub Xpro: System in LearningApplications { id: "xpro", name: "xPRO", tech: "Django, React",
    owner: "xPRO", summary: "Sells courses to professionals and firms" })
(pub XproApp: Container in Xpro { id: "xpro_app", name: "xPRO application", tech: "Django REST",
    owner: "xPRO", summary: "B2B shop, vouchers, enrollments" })
(pub XproWorkers: Container in Xpro { id: "xpro_workers", name: "xPRO workers", tech: "Celery",
    owner: "xPRO", summary: "Scheduled and triggered jobs" })
(pub XproDatabase: ApplicationPostgres as "xpro" in Xpro { id: "xpro_database",
    name: "xPRO DB", owner: "xPRO", summary: "B2B orders, coupons, enrollments" })

(pub MitLearn: System in LearningApplications { id: "mit_learn", name: "MIT Learn",
    tech: "Django, Next.js", owner: "MIT Learn", summary: "One catalog of all that MIT teaches" })
(pub MitLearnSite: Container in MitLearn { id: "mit_learn_site", name: "MIT Learn site",
    tech: "Next.js, Django, OpenSearch", owner: "MIT Learn", summary: "Search, profiles, learning paths" })
(
    /// The endpoint of MIT Learn that takes signed notices.
    pub MitLearnReceiver: Container in MitLearn { id: "mit_learn_receiver",
        name: "MIT Learn webhook receiver", tech: "Django REST", owner: "MIT Learn",
        summary: "Takes signed notices on courses" })
(pub MitLearnWorkers: Container in MitLearn { id: "mit_learn_workers", name: "MIT Learn workers",
    tech: "Celery", owner: "MIT Learn", summary: "Catalog jobs, one a source" })
(pub MitLearnDatabase: ApplicationPostgres as "mitlearn" in MitLearn { id: "mitlearn_database",
    name: "MIT Learn DB", owner: "MIT Learn", summary: "Catalog, profiles, learning paths" })

(pub LearnAi: System in LearningApplications { id: "learn_ai", name: "Learn AI",
    tech: "Django", owner: "MIT Learn", summary: "Tutors and recommendation bots" })
(pub LearnAiDatabase: ApplicationPostgres as "learn_ai" in LearnAi { id: "learn_ai_database",
    name: "Learn AI DB", owner: "MIT Learn", summary: "Chat sessions, feedback" })

(pub OcwStudio: System in LearningApplications { id: "ocw_studio", name: "OCW Studio",
    tech: "Django, Hugo", owner: "OCW Studio", summary: "Authors and publishes OpenCourseWare" })
(pub OcwStudioDatabase: ApplicationPostgres as "ocw_studio" in OcwStudio {
    id: "ocw_studio_database", name: "OCW Studio DB", owner: "OCW Studio",
    summary: "Course sites, their resources" })

(pub VideoService: System in LearningApplications { id: "video_service", name: "ODL Video Service",
    tech: "Django", owner: "ODL Video Service", summary: "Uploads, transcodes, grants views" })
(pub OvsDatabase: ApplicationPostgres as "ovs" in VideoService { id: "ovs_database",
    name: "Video Service DB", owner: "ODL Video Service", summary: "Videos, collections, grants" })

(pub MicroMasters: System in LearningApplications { id: "micromasters", name: "MicroMasters",
    tech: "Django", owner: "MicroMasters", summary: "Graduate programs and their exams" })
(pub MicromastersDatabase: ApplicationPostgres as "micromasters" in MicroMasters {
    id: "micromasters_database", name: "MicroMasters DB", owner: "MicroMasters",
    summary: "Programs, exams, grades" })

(pub OpenEdx: System in OpenLearning { id: "open_edx", name: "Open edX", tech: "Django, React",
    owner: "MITx Online, xPRO, Residential",
    summary: "Courseware of three deployments" })
(pub OpenEdxLms: Container in OpenEdx { id: "open_edx_lms", name: "LMS and Studio",
    tech: "Django, REST", owner: "MITx Online, xPRO, Residential",
    summary: "Courses, enrollments and grades by API" })
(
    /// One MySQL database an Open edX deployment.
    pub OpenEdxMysql: family of Container in OpenEdx { id: "open_edx_mysql",
        name: "Open edX databases", shape: Database, tech: "MySQL, MariaDB",
        owner: "MITx Online, xPRO, Residential", summary: "Course state, grades, learners" })
(pub MitxOnlineOpenEdx: OpenEdxMysql as "mitxonline" { id: "mitxonline_open_edx",
    name: "MITx Online", owner: "MITx Online", summary: "Courseware of MITx Online" })
(pub XproOpenEdx: OpenEdxMysql as "xpro" { id: "xpro_open_edx", name: "xPRO", owner: "xPRO",
    summary: "Courseware of xPRO" })
(pub ResidentialOpenEdx: OpenEdxMysql as "mitx" { id: "residential_open_edx",
    name: "MITx Residential", owner: "Residential", summary: "Courseware on campus" })
(pub EdxNotes: Container in OpenEdx { id: "edx_notes", name: "edX notes", shape: Database,
    tech: "MySQL", owner: "MITx Online, xPRO, Residential", summary: "Learners' notes" })
(pub Forum: Container in OpenEdx { id: "forum", name: "Forum", shape: Database,
    tech: "MongoDB, MySQL", owner: "MITx Online, xPRO, Residential",
    summary: "Threads and comments" })
(pub TrackingLogs: Container in OpenEdx { id: "tracking_logs", name: "Tracking logs",
    shape: Bucket, tech: "S3, JSON lines, gzip", owner: "MITx Online, xPRO, Residential",
    summary: "What learners did, by event" })
(pub CourseArchives: Container in OpenEdx { id: "course_archives", name: "Course archives",
    shape: Bucket, tech: "S3, OLX, tar.gz", owner: "MITx Online, xPRO, Residential",
    summary: "Courses as XML, one archive a run" })

(pub EdxOrg: External { id: "edx_org", name: "edX.org", tech: "S3, BigQuery, REST",
    owner: "edX", summary: "Course exports, tracking logs, catalog" })
(pub HubSpot: External { id: "hubspot", name: "HubSpot", tech: "REST API", owner: "HubSpot",
    summary: "CRM: contacts, deals" })
(pub PartnerCatalogs: External { id: "partner_catalogs", name: "Partner catalogs",
    tech: "REST, RSS, CSV", owner: "Emeritus, Global Alumni, Sloan, MIT PE and others",
    summary: "Courses of others that MIT shows or sells" })
(pub Vault: System in OpenLearning { id: "vault", name: "Vault", tech: "HashiCorp Vault",
    owner: "platform engineering", summary: "Leases database credentials" })
(pub Keycloak: System in OpenLearning { id: "keycloak", name: "Keycloak", tech: "Java, OIDC",
    owner: "platform engineering", summary: "Single sign-on" })
(pub Observability: System in OpenLearning { id: "observability", name: "Observability",
    tech: "OpenTelemetry, Prometheus, Grafana", owner: "platform engineering",
    summary: "Traces, metrics, alerts, dashboards" })

}
