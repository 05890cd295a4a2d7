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

}
