//! The applications whose databases and files the platform reads.

use crate::macros::listed_elements;

listed_elements! { APPLICATIONS:

(pub OpenLearning: Group { id: "open_learning", name: "MIT Open Learning",
    owner: "Open Learning", summary: "The services of MIT Open Learning" })
(pub LearningApplications: System in OpenLearning { id: "learning_applications",
    name: "Learning applications", tech: "Django, Open edX", owner: "application teams",
    summary: "Courses, commerce and learners' records" })

(/// One PostgreSQL database an application; the inventory's layer `app_postgres`.
    pub ApplicationPostgres: family of Container in LearningApplications {
        id: "application_postgres", name: "Application databases", shape: Database,
        tech: "PostgreSQL (RDS)", owner: "application teams",
        summary: "Every application's own PostgreSQL database" })
(pub MitxOnlineDatabase: ApplicationPostgres as "mitxonline" { id: "mitxonline_database",
    name: "MITx Online DB", owner: "MITx Online", summary: "Orders, enrollments, certificates" })
(pub XproDatabase: ApplicationPostgres as "xpro" { id: "xpro_database",
    name: "xPRO DB", owner: "xPRO", summary: "B2B orders, coupons, enrollments" })
(pub MitLearnDatabase: ApplicationPostgres as "mitlearn" { id: "mitlearn_database",
    name: "MIT Learn DB", owner: "MIT Learn", summary: "Catalog, profiles, learning paths" })
(pub LearnAiDatabase: ApplicationPostgres as "learn_ai" { id: "learn_ai_database",
    name: "Learn AI DB", owner: "MIT Learn", summary: "Chat sessions, feedback" })
(pub OcwStudioDatabase: ApplicationPostgres as "ocw_studio" { id: "ocw_studio_database",
    name: "OCW Studio DB", owner: "OCW Studio", summary: "Course sites, their resources" })
(pub OvsDatabase: ApplicationPostgres as "ovs" { id: "ovs_database",
    name: "Video Service DB", owner: "ODL Video Service", summary: "Videos, collections, grants" })
(pub MicromastersDatabase: ApplicationPostgres as "micromasters" {
    id: "micromasters_database", name: "MicroMasters DB", owner: "MicroMasters",
    summary: "Programs, exams, grades" })

(
    /// The endpoint of MIT Learn that takes signed notices.
    pub MitLearnReceiver: Container in LearningApplications { id: "mit_learn_receiver",
        name: "MIT Learn webhook receiver", tech: "Django REST", owner: "MIT Learn",
        summary: "Takes signed notices on courses" })

(pub OpenEdx: System in OpenLearning { id: "open_edx", name: "Open edX", tech: "Django, React",
    owner: "MITx Online, xPRO, Residential",
    summary: "Courseware of three deployments" })
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

(pub EdxOrg: External { id: "edx_org", name: "edX.org archive", tech: "S3, BigQuery",
    owner: "edX", summary: "Course exports, tracking logs" })
(pub HubSpot: External { id: "hubspot", name: "HubSpot", tech: "REST API", owner: "HubSpot",
    summary: "CRM: contacts, deals" })
(pub Vault: System in OpenLearning { id: "vault", name: "Vault", tech: "HashiCorp Vault",
    owner: "platform engineering", summary: "Leases database credentials" })
(pub Keycloak: System in OpenLearning { id: "keycloak", name: "Keycloak", tech: "Java, OIDC",
    owner: "platform engineering", summary: "Single sign-on" })

}
