//! THREAD=REFERENCES (RFC 5256 §3): a forest from Message-ID, References and In-Reply-To; letters
//! that are missing leave dummies, which are pruned; threads of one subject are put together.
//! Iterative and bounded: what strangers write in References costs neither stack nor square time.

use std::collections::HashMap;

use super::{Placed, Threaded};
use crate::limits::MAX_THREAD_DEPTH;

/// A letter, or the place of one that is missing.
#[derive(Debug, Default)]
struct Node {
    /// Its place in what was given.
    letter: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
    /// When it, or its first child, was sent; and its place for equal times.
    sent: (i64, usize),
}

/// All of them. Indices are given out here and stay in bounds.
#[derive(Debug, Default)]
struct Forest {
    nodes: Vec<Node>,
}

/// The threads of these letters.
pub fn references(letters: &[Threaded]) -> Vec<Placed> {
    let mut forest = Forest::default();
    forest.link(letters);
    let roots: Vec<usize> =
        (0..forest.nodes.len()).filter(|at| forest.node(*at).parent.is_none()).collect();
    let roots = forest.pruned(&roots);
    forest.date(&roots, letters);
    let roots = forest.sorted(roots);
    let roots = forest.by_subject(roots, letters);
    forest.date(&roots, letters);
    let roots = forest.sorted(roots);
    forest.flat(roots)
}

impl Forest {
    fn node(&self, at: usize) -> &Node {
        const NONE: &Node =
            &Node { letter: None, parent: None, children: Vec::new(), sent: (0, 0) };
        self.nodes.get(at).unwrap_or(NONE)
    }

    fn add(&mut self, letter: Option<usize>) -> usize {
        self.nodes.push(Node { letter, ..Node::default() });
        self.nodes.len() - 1
    }

    /// Step 1: parents by the ids that letters name. Children are gathered at the end, so that a
    /// new parent costs nothing.
    fn link(&mut self, letters: &[Threaded]) {
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (place, letter) in letters.iter().enumerate() {
            let own = match &letter.id {
                Some(id) => match known.get(id.as_str()) {
                    // An id that is there already: this letter is treated as one without.
                    Some(at) if self.node(*at).letter.is_some() => self.add(Some(place)),
                    Some(at) => {
                        let at = *at;
                        if let Some(node) = self.nodes.get_mut(at) {
                            node.letter = Some(place);
                        }
                        at
                    }
                    None => {
                        let at = self.add(Some(place));
                        known.insert(id, at);
                        at
                    }
                },
                None => self.add(Some(place)),
            };
            let mut before = None;
            for id in &letter.references {
                let at = *known.entry(id).or_insert_with(|| {
                    self.nodes.push(Node::default());
                    self.nodes.len() - 1
                });
                if let Some(parent) = before
                    && self.node(at).parent.is_none()
                    && !self.reaches(parent, at)
                {
                    self.set_parent(at, Some(parent));
                }
                before = Some(at);
            }
            // What the letter itself says counts more than what others said of it.
            match before {
                Some(parent) if !self.reaches(parent, own) => self.set_parent(own, before),
                _ => {}
            }
        }
        for at in 0..self.nodes.len() {
            if let Some(parent) = self.node(at).parent.and_then(|up| self.nodes.get_mut(up)) {
                parent.children.push(at);
            }
        }
    }

    fn set_parent(&mut self, at: usize, parent: Option<usize>) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.parent = parent;
        }
    }

    fn set_children(&mut self, at: usize, children: Vec<usize>) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.children = children;
        }
    }

    fn adopt(&mut self, at: usize, children: &[usize]) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.children.extend_from_slice(children);
        }
    }

    /// Whether `from` is `to` or below it, or deeper than we follow.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let mut at = Some(from);
        for _ in 0..MAX_THREAD_DEPTH {
            match at {
                None => return false,
                Some(here) if here == to => return true,
                Some(here) => at = self.node(here).parent,
            }
        }
        true
    }

    /// Every node below these, each after all of its own children.
    fn children_first(&self, roots: &[usize]) -> Vec<usize> {
        let mut order = Vec::new();
        let mut waiting = roots.to_vec();
        while let Some(at) = waiting.pop() {
            order.push(at);
            waiting.extend(&self.node(at).children);
        }
        order.reverse();
        order
    }

    /// Step 3: dummies without children go, others hand their children up; at the top only those
    /// with a single child do.
    fn pruned(&mut self, roots: &[usize]) -> Vec<usize> {
        for at in self.children_first(roots) {
            let kept = self.raised(&self.node(at).children);
            self.set_children(at, kept);
        }
        let mut top = Vec::new();
        for &root in roots {
            let node = self.node(root);
            match (node.letter, node.children.as_slice()) {
                (None, []) => {}
                (None, [only]) => top.push(*only),
                _ => top.push(root),
            }
        }
        top
    }

    /// The children, with those of dummies in the dummies' places.
    fn raised(&self, children: &[usize]) -> Vec<usize> {
        let mut kept = Vec::with_capacity(children.len());
        for &child in children {
            match self.node(child).letter {
                Some(_) => kept.push(child),
                None => kept.extend(&self.node(child).children),
            }
        }
        kept
    }

    /// Dates: of a dummy that of its first child.
    fn date(&mut self, roots: &[usize], letters: &[Threaded]) {
        for at in self.children_first(roots) {
            let node = self.node(at);
            let sent = match node.letter {
                Some(place) => (letters.get(place).map_or(0, |letter| letter.sent), place),
                None => {
                    let dates = node.children.iter().map(|child| self.node(*child).sent);
                    dates.min().unwrap_or_default()
                }
            };
            if let Some(node) = self.nodes.get_mut(at) {
                node.sent = sent;
            }
        }
    }

    fn sorted(&self, mut nodes: Vec<usize>) -> Vec<usize> {
        nodes.sort_by_key(|at| self.node(*at).sent);
        nodes
    }

    /// The letter whose subject a thread has: its root, or the first child of a dummy.
    fn subject<'a>(&self, root: usize, letters: &'a [Threaded]) -> Option<&'a Threaded> {
        let node = self.node(root);
        let first = node.children.iter().copied().min_by_key(|child| self.node(*child).sent);
        let place = node.letter.or_else(|| self.node(first?).letter)?;
        letters.get(place)
    }

    /// Step 5: threads of one subject come together.
    fn by_subject(&mut self, roots: Vec<usize>, letters: &[Threaded]) -> Vec<usize> {
        let mut table: HashMap<&str, usize> = HashMap::new();
        for &root in &roots {
            let Some(letter) = self.subject(root, letters).filter(|l| !l.subject.is_empty()) else {
                continue;
            };
            let entry = table.entry(&letter.subject).or_insert(root);
            let is_dummy = |at: usize| self.node(at).letter.is_none();
            let held_is_reply = self.subject(*entry, letters).is_some_and(|held| held.is_reply);
            let better = (is_dummy(root) && !is_dummy(*entry))
                || (held_is_reply && !letter.is_reply && !is_dummy(*entry));
            if better {
                *entry = root;
            }
        }
        let mut top: Vec<Option<usize>> = Vec::with_capacity(roots.len());
        let mut places: HashMap<usize, usize> = HashMap::new();
        // Threads that went below another one: they leave the top.
        let mut moved = std::collections::HashSet::new();
        for &root in &roots {
            places.insert(root, top.len());
            top.push(Some(root));
        }
        for root in roots {
            let Some(letter) = self.subject(root, letters) else { continue };
            let Some(&held) = table.get(letter.subject.as_str()) else { continue };
            if held == root || moved.contains(&held) {
                continue;
            }
            let (dummy, held_dummy) =
                (self.node(root).letter.is_none(), self.node(held).letter.is_none());
            let held_is_reply = self.subject(held, letters).is_some_and(|held| held.is_reply);
            if dummy && held_dummy {
                let children = self.node(root).children.clone();
                self.set_children(root, Vec::new());
                self.adopt(held, &children);
            } else if held_dummy || (letter.is_reply && !held_is_reply) {
                self.adopt(held, &[root]);
            } else {
                // Neither answers the other: both below a new dummy.
                let both = self.add(None);
                self.adopt(both, &[held, root]);
                table.insert(&letter.subject, both);
                if let Some(place) = places.get(&held).copied() {
                    if let Some(slot) = top.get_mut(place) {
                        *slot = Some(both);
                    }
                    places.insert(both, place);
                }
                moved.insert(held);
            }
            moved.insert(root);
            if let Some(slot) = places.get(&root).and_then(|place| top.get_mut(*place)) {
                *slot = None;
            }
        }
        top.into_iter().flatten().collect()
    }

    /// Step 6 and the answer: siblings by date, parents before their children.
    fn flat(&self, roots: Vec<usize>) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(self.nodes.len());
        let mut waiting: Vec<(usize, u32)> = roots.into_iter().rev().map(|at| (at, 0)).collect();
        while let Some((at, depth)) = waiting.pop() {
            let node = self.node(at);
            placed.push((node.letter, depth));
            let below = self.sorted(node.children.clone());
            waiting.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, references: &[&str], subject: &str) -> Threaded {
        Threaded {
            id: Some(id.to_owned()),
            references: references.iter().map(|id| (*id).to_owned()).collect(),
            subject: subject.trim_start_matches("Re: ").to_owned(),
            is_reply: subject.starts_with("Re: "),
            sent: 0,
        }
    }

    /// As IMAP writes it, but with a dummy shown as `-`, for reading.
    fn shown(letters: &[Threaded]) -> Vec<String> {
        references(letters)
            .into_iter()
            .map(|(place, depth)| {
                let name = place.map_or("-".to_owned(), |place| letters[place].id.clone().unwrap());
                format!("{}{name}", ">".repeat(depth as usize))
            })
            .collect()
    }

    #[test]
    fn answers_lie_below_what_they_answer() {
        let letters = [
            letter("a", &[], "x"),
            letter("b", &["a"], "Re: x"),
            letter("c", &["a", "b"], "Re: x"),
            letter("d", &["a"], "Re: x"),
            letter("e", &[], "y"),
        ];
        assert_eq!(shown(&letters), ["a", ">b", ">>c", ">d", "e"]);
    }

    #[test]
    fn missing_letters_hold_their_place_at_the_top_only() {
        let letters = [
            letter("b", &["gone"], "Re: x"),
            letter("c", &["gone"], "Re: x"),
            letter("d", &["b", "lost"], "Re: x"),
            letter("e", &["other"], "Re: y"),
        ];
        assert_eq!(shown(&letters), ["-", ">b", ">>d", ">c", "e"]);
    }

    #[test]
    fn threads_of_one_subject_come_together() {
        let answer = [letter("a", &[], "x"), letter("b", &[], "Re: x")];
        assert_eq!(shown(&answer), ["a", ">b"]);
        let equals = [letter("a", &[], "x"), letter("b", &[], "x"), letter("c", &[], "x")];
        assert_eq!(shown(&equals), ["-", ">a", ">b", ">c"]);
        let nothing = [letter("a", &[], ""), letter("b", &[], "")];
        assert_eq!(shown(&nothing), ["a", "b"]);
    }

    #[test]
    fn loops_and_repeated_ids_do_no_harm() {
        let letters = [
            letter("a", &["b"], "1"),
            letter("b", &["a"], "2"),
            letter("c", &["c"], "3"),
            letter("c", &[], "4"),
        ];
        let placed = references(&letters);
        let mut seen: Vec<usize> = placed.iter().filter_map(|(place, _)| *place).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn a_long_conversation_is_no_deep_stack() {
        let letters: Vec<Threaded> =
            (0..20_000).map(|n| letter(&n.to_string(), &[&(n - 1).to_string()], "")).collect();
        assert_eq!(references(&letters).iter().filter(|(l, _)| l.is_some()).count(), 20_000);
    }
}
