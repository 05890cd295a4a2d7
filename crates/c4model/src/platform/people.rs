//! Who uses the platform and who runs it.

use crate::macros::listed_elements;

listed_elements! { PEOPLE:

(pub DataEngineer: Person { id: "data_engineer", name: "Data engineer", shape: Person,
    owner: "data platform", summary: "Runs and repairs the pipelines" })
(pub Analyst: Person { id: "analyst", name: "Analyst", shape: Person,
    owner: "data platform", summary: "Explores data, publishes dashboards" })
(pub Learner: Person { id: "learner", name: "Learner", shape: Person,
    owner: "Open Learning", summary: "Takes courses, earns certificates" })
(pub Newcomer: Person { id: "newcomer", name: "Newcomer, architect", shape: Person,
    owner: "data platform", summary: "Learns and changes how the data flows" })

}
