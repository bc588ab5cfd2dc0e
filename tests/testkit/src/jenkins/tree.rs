//! `tree=a,b[c],d[e]{0,50}`: only what is asked for is answered, so a client that forgets to ask is found out.

use serde_json::{Map, Value};

/// A name, what of it, and which part of a list.
#[derive(Debug, PartialEq, Eq)]
struct Branch {
    name: String,
    below: Vec<Branch>,
    range: Option<(usize, usize)>,
}

/// The value as far as the tree asks for it; none when the tree cannot be read. `_class` is always there.
pub(super) fn prune(value: &Value, tree: &str) -> Option<Value> {
    let mut rest = tree;
    let branches = read(&mut rest)?;
    rest.is_empty().then(|| keep(value, &branches))
}

fn read(rest: &mut &str) -> Option<Vec<Branch>> {
    let mut branches = Vec::new();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() {
            return None;
        }
        *rest = after;
        let mut branch = Branch {
            name: name.to_owned(),
            below: Vec::new(),
            range: None,
        };
        if let Some(inner) = rest.strip_prefix('[') {
            *rest = inner;
            branch.below = read(rest)?;
            *rest = rest.strip_prefix(']')?;
        }
        if let Some(inner) = rest.strip_prefix('{') {
            let (range, after) = inner.split_once('}')?;
            let (from, to) = range.split_once(',')?;
            branch.range = Some((from.parse().ok()?, to.parse().ok()?));
            *rest = after;
        }
        branches.push(branch);
        match rest.strip_prefix(',') {
            Some(more) => *rest = more,
            None => return Some(branches),
        }
    }
}

fn keep(value: &Value, branches: &[Branch]) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|it| keep(it, branches)).collect(),
        Value::Object(map) => {
            let mut kept = Map::new();
            kept.extend(
                map.get("_class")
                    .map(|it| ("_class".to_owned(), it.clone())),
            );
            for branch in branches {
                let Some(value) = map.get(&branch.name) else {
                    continue;
                };
                let mut value = match (&branch.range, value) {
                    (Some((from, to)), Value::Array(list)) => {
                        let to = (*to).min(list.len());
                        list.get(*from..to).unwrap_or_default().to_vec().into()
                    }
                    _ => value.clone(),
                };
                if !branch.below.is_empty() {
                    value = keep(&value, &branch.below);
                }
                kept.insert(branch.name.clone(), value);
            }
            kept.into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let value = json!({
            "_class": "x", "a": 1, "b": {"_class": "y", "c": 2, "d": 3}, "l": [{"c": 1, "d": 2}, {"c": 3}, {}],
        });
        let pruned = prune(&value, "a,b[c],l[c]{0,2}");
        let kept =
            json!({"_class": "x", "a": 1, "b": {"_class": "y", "c": 2}, "l": [{"c": 1}, {"c": 3}]});
        assert_eq!(pruned, Some(kept));
        for bad in ["", "a,", "a[b", "a]", "a{0}", "a b"] {
            assert_eq!(prune(&value, bad), None, "{bad:?}");
        }
    }
}
