//! Whether a history of transactions is that of some serial order. It knows nothing of the engine: each value that was
//! written is unique, each key's order of versions is known, and from both follow the edges of a graph (who read from
//! whom, who overwrote what somebody read, who came after whom on a key). A history is serialisable exactly when
//! that graph has no circle (Adya, Liskov, O'Neil 2000, PL-3).

use std::collections::{BTreeMap, BTreeSet};

/// A value that was written: by which transaction; 0 wrote what was there at first.
pub(super) type Writer = usize;

/// One committed transaction, as whoever ran it saw it.
/// A range by its bounds (`from <= key < to`), with what was seen in it.
pub(super) type SeenRange = (String, String, Vec<(String, Writer)>);

#[derive(Debug, Clone, Default)]
pub(super) struct Ran {
    pub(super) id: Writer,
    /// Keys by name, with the writer of what was seen; `None`: nothing was there.
    pub(super) reads: Vec<(String, Option<Writer>)>,
    /// Ranges.
    pub(super) ranges: Vec<SeenRange>,
    /// Keys that it wrote, or with `false` deleted.
    pub(super) writes: Vec<(String, bool)>,
}

/// The history of each key: who wrote or deleted (`false`) it, in order.
pub(super) type Orders = BTreeMap<String, Vec<(Writer, bool)>>;

/// The circle that a history has, if it has one; `Err` where a read cannot be explained at all.
pub(super) fn circle(history: &[Ran], orders: &Orders) -> Result<Option<Vec<Writer>>, String> {
    let committed: BTreeSet<Writer> = history.iter().map(|ran| ran.id).chain([0]).collect();
    let mut edges: BTreeMap<Writer, BTreeSet<Writer>> = BTreeMap::new();
    let mut edge = |from: Writer, to: Writer| {
        if from != to {
            edges.entry(from).or_default().insert(to);
        }
    };
    for order in orders.values() {
        for pair in order.windows(2) {
            edge(pair[0].0, pair[1].0);
        }
        for (writer, _) in order {
            if !committed.contains(writer) {
                return Err(format!("{writer} is in the order and was not committed"));
            }
        }
    }
    let empty = Vec::new();
    for ran in history {
        for (key, _) in &ran.writes {
            let order = orders.get(key).unwrap_or(&empty);
            if !order.iter().any(|(writer, _)| *writer == ran.id)
                && ran.writes.iter().any(|(k, put)| k == key && *put)
            {
                return Err(format!("{} wrote {key} and is not in its order", ran.id));
            }
        }
        let mut seen: Vec<(&str, Option<Writer>)> = ran
            .reads
            .iter()
            .map(|(key, writer)| (key.as_str(), *writer))
            .collect();
        for (from, to, found) in &ran.ranges {
            // What the range did not hold was seen not to be there, of every key that ever was.
            let in_range = orders.range(from.clone()..to.clone()).map(|(key, _)| key);
            for key in in_range {
                let writer = found
                    .iter()
                    .find(|(other, _)| other == key)
                    .map(|(_, writer)| *writer);
                seen.push((key, writer));
            }
            for (key, _) in found {
                if !(from <= key && key < to) {
                    return Err(format!("{} found {key} in {from}..{to}", ran.id));
                }
            }
        }
        for (key, writer) in seen {
            let order = orders.get(key).unwrap_or(&empty);
            if let Some(writer) = writer {
                let at = order.iter().position(|(of, put)| *of == writer && *put);
                let at = at.ok_or_else(|| format!("{} read {key} of {writer}, which never was", ran.id))?;
                edge(writer, ran.id);
                if let Some((next, _)) = order.get(at + 1) {
                    edge(ran.id, *next);
                }
            } else {
                // Absent: before the first put, or after a deletion. Which of them, its other edges decide; what can be
                // said for sure is said where there is one possibility only.
                let mut gaps: Vec<(Option<Writer>, Option<Writer>)> = Vec::new();
                if order.first().is_none_or(|(_, put)| *put) {
                    gaps.push((None, order.first().map(|(writer, _)| *writer)));
                }
                for (at, (writer, put)) in order.iter().enumerate() {
                    if !put {
                        gaps.push((Some(*writer), order.get(at + 1).map(|(writer, _)| *writer)));
                    }
                }
                match gaps.as_slice() {
                    [] => return Err(format!("{} saw {key} absent, which it never was", ran.id)),
                    [(after, before)] => {
                        if let Some(after) = after {
                            edge(*after, ran.id);
                        }
                        if let Some(before) = before {
                            edge(ran.id, *before);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(find_circle(&edges))
}

fn find_circle(edges: &BTreeMap<Writer, BTreeSet<Writer>>) -> Option<Vec<Writer>> {
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        let mut path: Vec<(Writer, Vec<Writer>)> = vec![(*start, next_of(edges, *start))];
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let Some(to) = next.pop() else {
                done.insert(at);
                path.pop();
                continue;
            };
            if let Some(place) = path.iter().position(|(on, _)| *on == to) {
                return Some(path[place..].iter().map(|(on, _)| *on).collect());
            }
            if !done.contains(&to) {
                path.push((to, next_of(edges, to)));
            }
        }
    }
    None
}

fn next_of(edges: &BTreeMap<Writer, BTreeSet<Writer>>, of: Writer) -> Vec<Writer> {
    edges
        .get(&of)
        .map_or_else(Vec::new, |next| next.iter().copied().collect())
}

fn ran(id: Writer, reads: &[(&str, Option<Writer>)], writes: &[&str]) -> Ran {
    Ran {
        id,
        reads: reads
            .iter()
            .map(|(key, writer)| ((*key).to_owned(), *writer))
            .collect(),
        ranges: Vec::new(),
        writes: writes.iter().map(|key| ((*key).to_owned(), true)).collect(),
    }
}

fn order(pairs: &[(&str, &[Writer])]) -> Orders {
    let put = |writers: &[Writer]| writers.iter().map(|writer| (*writer, true)).collect();
    pairs
        .iter()
        .map(|(key, writers)| ((*key).to_owned(), put(writers)))
        .collect()
}

/// The checker itself: each anomaly has a circle, and what is serial has none. A defect it catches: a checker that believes
/// everything.
#[test]
fn the_checker_knows_each_anomaly() {
    let lost = [
        ran(1, &[("x", Some(0))], &["x"]),
        ran(2, &[("x", Some(0))], &["x"]),
    ];
    assert!(circle(&lost, &order(&[("x", &[0, 1, 2])])).unwrap().is_some());
    let fine = [
        ran(1, &[("x", Some(0))], &["x"]),
        ran(2, &[("x", Some(1))], &["x"]),
    ];
    assert!(circle(&fine, &order(&[("x", &[0, 1, 2])])).unwrap().is_none());
    let both = [("x", Some(0)), ("y", Some(0))];
    let skew = [ran(1, &both, &["x"]), ran(2, &both, &["y"])];
    let orders = order(&[("x", &[0, 1]), ("y", &[0, 2])]);
    assert!(circle(&skew, &orders).unwrap().is_some());
    let torn = [
        ran(1, &[], &["x", "y"]),
        ran(2, &[("x", Some(0)), ("y", Some(1))], &[]),
    ];
    assert!(
        circle(&torn, &order(&[("x", &[0, 1]), ("y", &[0, 1])]))
            .unwrap()
            .is_some()
    );
    let counts = |id: Writer, writes: &str| Ran {
        ranges: vec![("a".to_owned(), "b".to_owned(), Vec::new())],
        ..ran(id, &[], &[writes])
    };
    let phantom = [counts(1, "a1"), counts(2, "a2")];
    assert!(
        circle(&phantom, &order(&[("a1", &[1]), ("a2", &[2])]))
            .unwrap()
            .is_some()
    );
    let alone = [counts(1, "a1"), ran(2, &[], &["a2"])];
    assert!(
        circle(&alone, &order(&[("a1", &[1]), ("a2", &[2])]))
            .unwrap()
            .is_none()
    );
    let dirty = [ran(2, &[("x", Some(1))], &[])];
    assert!(circle(&dirty, &order(&[("x", &[0])])).is_err());
}
