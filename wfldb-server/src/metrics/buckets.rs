//! Figures of single buckets, under their random ids: the time of requests, and what each holds.
//!
//! SECURITY: the number of labels is bounded. Only buckets that are there get one, the first 200 of them; the others
//! share the label `other`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use wfldb_core::id::BucketId;
use wfldb_engine::Engine;

use super::{gauge_of, latency};
use crate::text::TextFigures;

/// Buckets with a label of their own.
const BUCKETS_MAX: usize = 200;
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    bucket: String,
}

/// The time of requests by bucket.
#[derive(Debug)]
pub(super) struct Buckets {
    seconds: Family<Of, Histogram, fn() -> Histogram>,
    known: Mutex<HashSet<BucketId>>,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self {
            seconds: Family::new_with_constructor(latency),
            known: Mutex::default(),
        }
    }

    pub(super) fn observe(&self, bucket: &BucketId, took: Duration) {
        let label = if self.has_label(bucket) {
            bucket.to_string()
        } else {
            OTHER.to_owned()
        };
        self.seconds
            .get_or_create(&Of { bucket: label })
            .observe(took.as_secs_f64());
    }

    fn has_label(&self, bucket: &BucketId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(bucket) || (known.len() < BUCKETS_MAX && known.insert(*bucket))
    }

    pub(super) fn register(&self, registry: &mut Registry, engine: &Engine) {
        registry.register_with_unit(
            "bucket_request",
            "Time from head to answer, by bucket",
            Unit::Seconds,
            self.seconds.clone(),
        );
        let families: [Family<Of, Gauge>; 4] = std::array::from_fn(|_| Family::default());
        let [objects, versions, bytes, stored] = &families;
        for (bucket, usage) in engine.usage_of_buckets(BUCKETS_MAX) {
            let of = Of {
                bucket: bucket.to_string(),
            };
            for (family, figure) in [
                (objects, usage.objects),
                (versions, usage.versions),
                (bytes, usage.bytes),
                (stored, usage.stored_bytes),
            ] {
                family.get_or_create(&of).set(gauge_of(figure));
            }
        }
        for (family, name, help) in [
            (objects, "bucket_objects", "Keys with a live version"),
            (versions, "bucket_versions", "Versions, tombstones included"),
            (bytes, "bucket_bytes", "Bytes of all versions"),
            (
                stored,
                "bucket_stored_bytes",
                "The same with equal chunks counted once, and unfinished uploads",
            ),
        ] {
            registry.register(name, help, family.clone());
        }
    }
}

/// How far each full-text index is. Their seconds behind cannot be told, their changes can.
pub(super) fn register_text(registry: &mut Registry, figures: &[TextFigures]) {
    let families: [Family<Of, Gauge>; 4] = std::array::from_fn(|_| Family::default());
    let [behind, documents, made, failures] = &families;
    for text in figures.iter().take(BUCKETS_MAX) {
        let of = Of {
            bucket: text.bucket.to_string(),
        };
        for (family, figure) in [
            (behind, text.behind),
            (documents, text.documents),
            (made, text.made),
            (failures, text.failures),
        ] {
            family.get_or_create(&of).set(gauge_of(figure));
        }
    }
    for (family, name, help) in [
        (
            behind,
            "text_changes_behind",
            "Changes that a full-text index does not have yet",
        ),
        (documents, "text_documents", "Documents in a full-text index"),
        (
            made,
            "text_made",
            "How often a full-text index was made since the start",
        ),
        (
            failures,
            "text_failures",
            "How often a full-text index failed since the start",
        ),
    ] {
        if !figures.is_empty() {
            registry.register(name, help, family.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A defect it catches: a label for every bucket that is ever asked for.
    #[test]
    fn the_number_of_labels_is_bounded() {
        let buckets = Buckets::new();
        for n in 0..1000u16 {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&n.to_be_bytes());
            buckets.observe(&BucketId::from_bytes(id), Duration::from_millis(1));
        }
        let mut registry = Registry::default();
        registry.register("x", "x", buckets.seconds.clone());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(text.matches("x_count{").count(), BUCKETS_MAX + 1);
        assert!(text.contains("x_count{bucket=\"other\"} 800"));
    }
}
