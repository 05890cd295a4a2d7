//! The code words that MIT Learn knows. It compares them exactly, in lower case.
//!
//! Read in mit-learn at 2f304af0: `learning_resources/etl/constants.py` and `learning_resources/constants.py`.

/// `ETLSource`: where a record comes from.
pub const ETL_SOURCES: [&str; 12] = [
    "mit_edx",
    "mitpe",
    "mitxonline",
    "oll",
    "ocw",
    "podcast",
    "mit_climate",
    "see",
    "xpro",
    "youtube",
    "canvas",
    "ovs",
];

/// `PlatformType`: where a learner takes part.
pub const PLATFORMS: [&str; 21] = [
    "edx",
    "ocw",
    "oll",
    "mitxonline",
    "bootcamps",
    "xpro",
    "csail",
    "mitpe",
    "see",
    "scc",
    "ctl",
    "whu",
    "susskind",
    "globalalumni",
    "simplilearn",
    "emeritus",
    "podcast",
    "youtube",
    "canvas",
    "climate",
    "ovs",
];

/// `OfferedBy`: the brand that offers a resource.
pub const OFFERORS: [&str; 7] = ["mitx", "ocw", "bootcamps", "xpro", "mitpe", "see", "climate"];

/// `LearningResourceType`: what a resource is.
pub const RESOURCE_TYPES: [&str; 8] = [
    "course",
    "program",
    "learning_path",
    "podcast",
    "podcast_episode",
    "video",
    "video_playlist",
    "document",
];
