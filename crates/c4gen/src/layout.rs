//! Where everything in a scene stands. The engine is behind a trait, and its answer is kept in
//! `architecture.layout.json`, so that an unchanged diagram costs nothing and does not jump when
//! the engine is updated.

pub mod elk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::scene::Scene;

/// A point, in pixels from the top left corner of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Pixels to the right.
    pub x: f64,
    /// Pixels down.
    pub y: f64,
}

/// A rectangle, in pixels from the top left corner of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Rect {
    /// Right edge.
    #[must_use]
    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Bottom edge.
    #[must_use]
    pub fn bottom(&self) -> f64 {
        self.y + self.height
    }

    /// Whether the two share more than a border line.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.x < other.right()
            && other.x < self.right()
            && self.y < other.bottom()
            && other.y < self.bottom()
    }

    /// Whether the other lies wholly inside.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.x <= other.x
            && self.y <= other.y
            && other.right() <= self.right()
            && other.bottom() <= self.bottom()
    }

    /// The same, smaller by this many pixels on each side.
    #[must_use]
    pub fn shrunk(&self, pixels: f64) -> Self {
        Self {
            x: self.x + pixels,
            y: self.y + pixels,
            width: (self.width - 2.0 * pixels).max(0.0),
            height: (self.height - 2.0 * pixels).max(0.0),
        }
    }
}

/// Where an arrow runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedEdge {
    /// Its bends, from start to end; every piece is horizontal or vertical.
    pub points: Vec<Point>,
    /// Where its label stands.
    pub label: Rect,
}

/// A placed scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Width in pixels of the whole.
    pub width: f64,
    /// Height in pixels of the whole.
    pub height: f64,
    /// Boxes by id.
    pub nodes: BTreeMap<String, Rect>,
    /// Borders by id.
    pub boundaries: BTreeMap<String, Rect>,
    /// Arrows by id.
    pub edges: BTreeMap<String, PlacedEdge>,
}

/// Something that can place a scene.
pub trait Layout {
    /// Places a scene.
    ///
    /// # Errors
    /// [`Error::Layout`] when the engine refuses it or leaves something out.
    fn place(&self, scene: &Scene) -> Result<Placement, Error>;

    /// Digest of everything the engine looks at: the same digest, the same placement.
    fn digest(&self, scene: &Scene) -> String;
}

/// Placements kept from an earlier run, by the scene's id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    scenes: BTreeMap<String, Cached>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cached {
    digest: String,
    placement: Placement,
}

impl Cache {
    /// The kept placement if nothing the engine looks at has changed, else a new one.
    ///
    /// # Errors
    /// Those of [`Layout::place`].
    pub fn place(&mut self, layout: &dyn Layout, scene: &Scene) -> Result<Placement, Error> {
        let digest = layout.digest(scene);
        if let Some(cached) = self.scenes.get(&scene.id)
            && cached.digest == digest
        {
            return Ok(cached.placement.clone());
        }
        let placement = layout.place(scene)?;
        let cached = Cached { digest, placement: placement.clone() };
        self.scenes.insert(scene.id.clone(), cached);
        Ok(placement)
    }

    /// Forgets scenes that no longer exist.
    pub fn keep_only(&mut self, scenes: &[&str]) {
        self.scenes.retain(|id, _| scenes.contains(&id.as_str()));
    }

    /// The text of `architecture.layout.json`.
    ///
    /// # Panics
    /// Never: the cache has string keys only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("the cache has string keys only");
        // One scene a line keeps the file's differences readable.
        text = text.replace("},\"", "},\n\"");
        text.push('\n');
        text
    }
}

/// FNV-1a, 64 bits: enough to see that a scene changed; stable across versions of Rust.
#[must_use]
pub(crate) fn digest(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
