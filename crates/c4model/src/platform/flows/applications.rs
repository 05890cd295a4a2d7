//! What the learning applications exchange among themselves and with people, as far as a reader of
//! the data platform must know it. None of it can be opened from this repository.

use super::{ENGINEERS, MIT_LEARN, MITX_ONLINE, XPRO};
use crate::macros::listed_flows;
use crate::platform::{
    CourseArchives, EdxNotes, Forum, Learner, MitLearnDatabase, MitLearnReceiver, MitLearnSite,
    MitLearnWorkers, MitxOnlineApp, MitxOnlineDatabase, OcwStudio, OpenEdxLms, OpenEdxMysql,
    TrackingLogs, XproApp, XproDatabase,
};

listed_flows! { APPLICATIONS:

external (learner_activity: Learner => OpenEdxLms { moves: "Answers, clicks", tech: "HTTPS",
    kind: Sync, by: From, owner: "MITx Online, xPRO, Residential",
    personal_data: "everything a learner does", evidence: ENGINEERS })
external (mitxonline_purchases: Learner => MitxOnlineApp { moves: "Orders, enrollments",
    tech: "HTTPS", kind: Sync, by: From, owner: "MITx Online",
    personal_data: "name, address, payment reference", evidence: MITX_ONLINE })
external (xpro_purchases: Learner => XproApp { moves: "Orders, enrollments", tech: "HTTPS",
    kind: Sync, by: From, owner: "xPRO",
    personal_data: "name, address, company", evidence: XPRO })
external (catalog_pages: MitLearnSite => Learner { moves: "Catalog pages", tech: "HTTPS", kind: Sync,
    by: To, owner: "MIT Learn", evidence: MIT_LEARN })

external (course_state: OpenEdxLms => OpenEdxMysql { moves: "Course state, grades", tech: "SQL",
    kind: Sync, by: From, owner: "MITx Online, xPRO, Residential",
    personal_data: "learners' records", evidence: ENGINEERS })
external (tracking_events: OpenEdxLms => TrackingLogs { moves: "Tracking events",
    tech: "Vector, S3 PUT", kind: Event, by: From, owner: "MITx Online, xPRO, Residential",
    personal_data: "everything a learner does", evidence: ENGINEERS })
external (forum_posts: OpenEdxLms => Forum { moves: "Threads, comments", tech: "MongoDB, SQL",
    kind: Sync, by: From, owner: "MITx Online, xPRO, Residential",
    personal_data: "what learners write", evidence: ENGINEERS })
external (learner_notes: OpenEdxLms => EdxNotes { moves: "Notes", tech: "REST, SQL", kind: Sync,
    by: From, owner: "MITx Online, xPRO, Residential",
    personal_data: "what learners write", evidence: ENGINEERS })
external (course_exports: OpenEdxLms => CourseArchives { moves: "Course archives", tech: "S3 PUT",
    kind: Scheduled, by: From, owner: "data platform", cadence: "daily", retry: "next run",
    evidence: ENGINEERS })

external (edx_enrollment_notices: OpenEdxLms => MitxOnlineApp { moves: "Enrollments, certificates",
    tech: "HTTPS, OAuth2", kind: Event, by: From, owner: "MITx Online",
    personal_data: "e-mail, course", evidence: MITX_ONLINE })
external (mitxonline_records: MitxOnlineApp => MitxOnlineDatabase { moves: "Orders, enrollments",
    tech: "SQL", kind: Sync, by: From, owner: "MITx Online",
    personal_data: "learners' records", evidence: MITX_ONLINE })
external (xpro_records: XproApp => XproDatabase { moves: "Orders, enrollments", tech: "SQL",
    kind: Sync, by: From, owner: "xPRO",
    personal_data: "learners' records", evidence: XPRO })
external (catalog_records: MitLearnWorkers => MitLearnDatabase { moves: "Catalog entries",
    tech: "SQL", kind: Sync, by: From, owner: "MIT Learn",
    evidence: MIT_LEARN })
external (noticed_content: MitLearnReceiver => MitLearnWorkers { moves: "Course notices",
    tech: "Celery, Redis", kind: Queued, by: From, owner: "MIT Learn",
    evidence: MIT_LEARN })
external (catalog_answers: MitLearnDatabase => MitLearnSite { moves: "Catalog entries", tech: "SQL",
    kind: Sync, by: To, owner: "MIT Learn", evidence: MIT_LEARN })
external (ocw_notices: OcwStudio => MitLearnReceiver { moves: "Published courses", tech: "HTTPS, key",
    kind: Event, by: From, owner: "OCW Studio", evidence: MIT_LEARN })

}
