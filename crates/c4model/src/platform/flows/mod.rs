//! What moves between systems that are not ours, and what is planned. A flow of ours stands beside
//! its function, in the crate that carries it out.

pub mod applications;
pub mod attached;
pub mod data_platform;
pub mod planned;
pub mod retiring;

use crate::Evidence;
use crate::words::said;

const PLATFORM: &[Evidence] =
    &[said("source of mitodl/ol-data-platform, read at commit 49d7ee60", "2026-08")];
const INFRASTRUCTURE: &[Evidence] =
    &[said("source of mitodl/ol-infrastructure, read at commit 2bf5bca3", "2026-08")];
const MITX_ONLINE: &[Evidence] =
    &[said("source of mitodl/mitxonline, read at commit b3c9730e", "2026-08")];
const XPRO: &[Evidence] = &[said("source of mitodl/mitxpro, read at commit 92a8dcbe", "2026-08")];
const MIT_LEARN: &[Evidence] =
    &[said("source of mitodl/mit-learn, read at commit 2f304af0", "2026-08")];
const ENGINEERS: &[Evidence] = &[said("the platform team's description", "2026-11")];
