//! What Celery does today in each application and the platform is to do instead: the same data,
//! computed once for all. The target flows stand in [`planned`](super::planned).

use super::{MIT_LEARN, MITX_ONLINE, PLATFORM, XPRO};
use crate::macros::listed_flows;
use crate::platform::{
    CodeLocations, EdxOrg, HubSpot, MitLearnReceiver, MitLearnWorkers, MitxOnlineApp,
    MitxOnlineDatabase, MitxOnlineWorkers, OpenEdxLms, PartnerCatalogs, VideoService, XproApp,
    XproDatabase, XproWorkers,
};

listed_flows! { RETIRING:

retiring (mitxonline_edx_sync: OpenEdxLms => MitxOnlineWorkers { moves: "Course runs, grades",
    tech: "REST", kind: Scheduled, by: To, owner: "MITx Online", cadence: "runs daily, grades hourly",
    retry: "next run", personal_data: "grades", evidence: MITX_ONLINE })
retiring (mitxonline_enrollment_repair: MitxOnlineWorkers => OpenEdxLms { moves: "Missed enrollments",
    tech: "REST", kind: Scheduled, by: From, owner: "MITx Online", cadence: "every 30 minutes",
    retry: "5 tries a row", personal_data: "user, course", evidence: MITX_ONLINE })
retiring (mitxonline_certificates: MitxOnlineWorkers => MitxOnlineDatabase {
    moves: "Certificates", tech: "SQL", kind: Scheduled, by: From, owner: "MITx Online",
    cadence: "hourly, programs daily", retry: "next run", personal_data: "learners' certificates",
    evidence: MITX_ONLINE })
retiring (mitxonline_crm_sync: MitxOnlineWorkers => HubSpot { moves: "Contacts, deals", tech: "REST",
    kind: Event, by: From, owner: "MITx Online", retry: "3 to 5 tries, backoff",
    personal_data: "contacts, orders", evidence: MITX_ONLINE })
retiring (xpro_edx_sync: OpenEdxLms => XproWorkers { moves: "Course runs, grades", tech: "REST",
    kind: Scheduled, by: To, owner: "xPRO", cadence: "daily", retry: "next run",
    personal_data: "grades", evidence: XPRO })
retiring (xpro_enrollment_repair: XproWorkers => OpenEdxLms { moves: "Missed enrollments", tech: "REST",
    kind: Scheduled, by: From, owner: "xPRO", cadence: "every 30 minutes", retry: "for ever",
    personal_data: "user, course", evidence: XPRO })
retiring (xpro_certificates: XproWorkers => XproDatabase { moves: "Certificates", tech: "SQL",
    kind: Scheduled, by: From, owner: "xPRO", cadence: "daily", retry: "none: once a run",
    personal_data: "learners' certificates", evidence: XPRO })
retiring (xpro_crm_sync: XproWorkers => HubSpot { moves: "Contacts, deals", tech: "REST", kind: Event,
    by: From, owner: "xPRO", retry: "3 to 5 tries, backoff", personal_data: "contacts, orders",
    evidence: XPRO })
retiring (partner_course_runs: PartnerCatalogs => XproWorkers { moves: "Course runs, prices",
    tech: "REST", kind: Scheduled, by: To, owner: "xPRO", cadence: "daily", retry: "next run",
    evidence: XPRO })
retiring (partner_catalog: PartnerCatalogs => MitLearnWorkers { moves: "Courses, podcasts, articles",
    tech: "REST, RSS, CSV", kind: Scheduled, by: To, owner: "MIT Learn", cadence: "daily",
    retry: "next run", evidence: MIT_LEARN })
retiring (edx_org_catalog: EdxOrg => MitLearnWorkers { moves: "Courses, programs", tech: "REST",
    kind: Scheduled, by: To, owner: "MIT Learn", cadence: "daily", retry: "next run",
    evidence: MIT_LEARN })
retiring (mitxonline_catalog: MitxOnlineApp => MitLearnWorkers { moves: "Courses, programs",
    tech: "REST", kind: Scheduled, by: To, owner: "MIT Learn", cadence: "every 6 hours",
    retry: "next run", evidence: MIT_LEARN })
retiring (xpro_catalog: XproApp => MitLearnWorkers { moves: "Courses, programs", tech: "REST",
    kind: Scheduled, by: To, owner: "MIT Learn", cadence: "daily", retry: "next run",
    evidence: MIT_LEARN })
retiring (video_catalog: VideoService => MitLearnWorkers { moves: "Videos", tech: "REST",
    kind: Scheduled, by: To, owner: "MIT Learn", cadence: "daily", retry: "next run",
    evidence: MIT_LEARN })
retiring (course_notices: CodeLocations => MitLearnReceiver { moves: "Course notices",
    tech: "HTTPS, HMAC", kind: Event, by: From, owner: "data platform", retry: "Dagster run retries",
    evidence: PLATFORM })

}
