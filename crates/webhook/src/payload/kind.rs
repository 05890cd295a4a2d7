//! The kinds of payload, and the route that each is posted to.

use std::fmt;
use std::str::FromStr;

/// What a payload tells MIT Learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A course archive is in the landing zone and can be read.
    ContentFiles,
    /// A course is gone.
    ContentFilesDelete,
    /// A video of the ODL Video Service is new or changed.
    OvsVideos,
    /// A video is gone.
    OvsVideosDelete,
    /// Catalogue records of one source, in parts.
    LearningResources,
}

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::ContentFiles,
        Self::ContentFilesDelete,
        Self::OvsVideos,
        Self::OvsVideosDelete,
        Self::LearningResources,
    ];

    /// The kind's name in configuration, messages and the outbox.
    pub fn word(self) -> &'static str {
        match self {
            Self::ContentFiles => "content_files",
            Self::ContentFilesDelete => "content_files/delete",
            Self::OvsVideos => "ovs_videos",
            Self::OvsVideosDelete => "ovs_videos/delete",
            Self::LearningResources => "learning_resources",
        }
    }

    /// The path to post to, below the base URL. The slash at its end matters: without it the answer is 405.
    ///
    /// Both kinds about videos have one route; there a field of the payload tells them apart.
    pub fn route(self) -> &'static str {
        match self {
            Self::ContentFiles => "/api/v1/webhooks/content_files/",
            Self::ContentFilesDelete => "/api/v1/webhooks/content_files/delete/",
            Self::OvsVideos | Self::OvsVideosDelete => "/api/v1/webhooks/ovs_videos/",
            Self::LearningResources => "/api/v1/webhooks/learning_resources/",
        }
    }

    /// Whether the payload says that something is gone.
    pub fn is_tombstone(self) -> bool {
        match self {
            Self::ContentFilesDelete | Self::OvsVideosDelete => true,
            Self::ContentFiles | Self::OvsVideos | Self::LearningResources => false,
        }
    }

    /// The kind that says that something of this kind is gone. `None` where nothing can say it, and for tombstones.
    pub fn tombstone_kind(self) -> Option<Self> {
        match self {
            Self::ContentFiles => Some(Self::ContentFilesDelete),
            Self::OvsVideos => Some(Self::OvsVideosDelete),
            Self::ContentFilesDelete | Self::OvsVideosDelete | Self::LearningResources => None,
        }
    }

    /// Why this kind is not sent unless a person asks for it. `None` for a kind that is.
    pub fn off_reason(self) -> Option<&'static str> {
        match self {
            Self::LearningResources => Some(
                "MIT Learn has no route /api/v1/webhooks/learning_resources/: every \
                 request would be answered with 405",
            ),
            Self::ContentFiles
            | Self::ContentFilesDelete
            | Self::OvsVideos
            | Self::OvsVideosDelete => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// A word that is no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "The kind must be one of content_files, content_files/delete, ovs_videos, \
     ovs_videos/delete, learning_resources"
)]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or(UnknownKind)
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_named_in_the_error() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(UnknownKind.to_string().contains(kind.word()), "{kind}");
        }
        assert_eq!("content_files/".parse::<Kind>(), Err(UnknownKind));
    }

    #[test]
    fn routes_end_with_a_slash() {
        for kind in Kind::ALL {
            assert!(kind.route().starts_with("/api/v1/webhooks/"), "{kind}");
            assert!(kind.route().ends_with('/'), "{kind}");
        }
        assert_eq!(Kind::OvsVideosDelete.route(), Kind::OvsVideos.route());
    }

    #[test]
    fn a_tombstone_kind_is_a_tombstone() {
        for kind in Kind::ALL {
            assert!(kind.tombstone_kind().is_none_or(Kind::is_tombstone), "{kind}");
            assert!(!kind.is_tombstone() || kind.tombstone_kind().is_none(), "{kind}");
        }
        assert_eq!(Kind::LearningResources.tombstone_kind(), None);
    }

    #[test]
    fn only_the_missing_route_is_off() {
        let off: Vec<_> =
            Kind::ALL.into_iter().filter(|kind| kind.off_reason().is_some()).collect();
        assert_eq!(off, [Kind::LearningResources]);
    }
}
