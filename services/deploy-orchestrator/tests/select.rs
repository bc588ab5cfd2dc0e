//! Which hosts selectors name.

use std::collections::BTreeSet;

use deploy_orchestrator::select::{Groups, SelectError, select};

use crate::support::hosts;

fn shop() -> (BTreeSet<events::HostName>, Groups) {
    let set = |names| hosts(names).into_iter().collect::<BTreeSet<_>>();
    let group = |name: &str, names| (name.parse().expect("a group"), set(names));
    let groups = Groups::from([
        group("web", "web1 web2 web9"),
        group("db", "db1"),
        group("mail", "mail1"),
    ]);
    (set("web1 web2 web3 db1"), groups)
}

fn chosen(on: Option<&[&str]>) -> Result<String, SelectError> {
    let (hosts, groups) = shop();
    let on: Option<Vec<String>> = on.map(|on| on.iter().map(|name| (*name).to_owned()).collect());
    let chosen = select(&hosts, &groups, on.as_deref())?;
    Ok(chosen
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" "))
}

#[test]
fn no_selector_means_all_hosts() {
    assert_eq!(chosen(None), Ok("db1 web1 web2 web3".to_owned()));
}

#[test]
fn an_empty_list_never_means_all_hosts() {
    assert_eq!(chosen(Some(&[])), Err(SelectError::Empty));
}

#[test]
fn hosts_and_groups_add_up_each_host_once() {
    assert_eq!(
        chosen(Some(&["web2", "web", "db"])),
        Ok("db1 web1 web2".to_owned())
    );
}

#[test]
fn hosts_of_a_group_that_are_none_of_the_project_are_left_out() {
    assert_eq!(chosen(Some(&["web"])), Ok("web1 web2".to_owned()));
}

#[test]
fn an_unknown_name_is_named_with_what_exists() {
    let exists = ["db1", "web1", "web2", "web3", "db", "web"]
        .map(str::to_owned)
        .to_vec();
    for unknown in ["web7", "all", "", "; rm -rf /", "mail1"] {
        let name = unknown.to_owned();
        let error = SelectError::Unknown {
            name,
            exists: exists.clone(),
        };
        assert_eq!(chosen(Some(&["web1", unknown])), Err(error));
    }
}

#[test]
fn a_group_of_other_projects_only_is_no_empty_target_set() {
    let error = chosen(Some(&["mail"])).expect_err("it has no host here");
    assert_eq!(error.to_string(), "group mail has no host of this project");
}

#[test]
fn a_project_without_hosts_says_so() {
    let error = select(&BTreeSet::new(), &Groups::new(), None);
    assert_eq!(error, Err(SelectError::NoHosts));
}
