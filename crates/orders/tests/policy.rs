//! Who may stand behind what.

use orders::{Action, Grant, Key, Keyring, NotAllowed, Policy, PolicyError, Verified};

use crate::given::{ann, bo, grant, now, rollback_grant};

fn cy() -> Key {
    Key::generate(&[4; 32], "cy")
}

/// `grant` signed by these keys, verified against `file`.
fn verified(file: &[String], grant: &Grant, keys: &[Key]) -> Verified<Grant> {
    let mut signed = orders::unsigned(grant).expect("an envelope");
    for key in keys {
        orders::add_signature::<Grant>(&mut signed, key).expect("signed");
    }
    let keyring = Keyring::parse(&file.join("\n")).expect("a keyring");
    keyring.verify(&signed, now()).expect("verified")
}

fn file() -> Vec<String> {
    let line = |key: Key, name: &str| format!("{name} {}", key.public_line());
    vec![line(ann(), "ann"), line(bo(), "bo"), line(cy(), "cy")]
}

fn policy(allow: &str) -> Policy {
    Policy::parse(&format!("orchestrators = [\"orchestrator\"]\n{allow}")).expect("a policy")
}

fn stands(policy: &Policy, grant: &Verified<Grant>) -> Result<Vec<String>, NotAllowed> {
    policy.standing(grant, now()).map(|standing| standing.by)
}

const TWO_OF_THREE: &str = r#"
[[allow]]
project = "shop"
environment = "prod"
principals = ["ann", "bo", "cy"]
signatures = 2
"#;

#[test]
fn an_empty_policy_refuses_everything() {
    let error = stands(&policy(""), &verified(&file(), &grant(), &[ann()]));
    let error = error.expect_err("nothing is allowed").to_string();
    assert_eq!(error, "the policy lets nobody deploy shop in prod");
}

#[test]
fn one_of_those_named_is_enough_unless_said_otherwise() {
    let policy = policy("[[allow]]\nproject='shop'\nenvironment='prod'\nprincipals=['ann','bo']");
    let by = stands(&policy, &verified(&file(), &grant(), &[bo()]));
    assert_eq!(by.expect("allowed"), ["bo"]);
    let error = stands(&policy, &verified(&file(), &grant(), &[cy()]));
    assert_eq!(
        error.expect_err("cy is not named").to_string(),
        "to deploy shop in prod needs 1 of ann, bo; signed by cy"
    );
}

#[test]
fn two_signatures_are_two_people() {
    let policy = policy(TWO_OF_THREE);
    let by = stands(&policy, &verified(&file(), &grant(), &[ann(), cy()]));
    assert_eq!(by.expect("allowed"), ["ann", "cy"]);

    let twice = verified(&file(), &grant(), &[ann(), ann()]);
    assert_eq!(
        stands(&policy, &twice).expect_err("one person").to_string(),
        "to deploy shop in prod needs 2 of ann, bo, cy; signed by ann"
    );
}

#[test]
fn two_keys_of_one_person_are_one() {
    let mut file = file();
    file[1] = file[1].replacen("bo", "ann", 1);
    let error = stands(
        &policy(TWO_OF_THREE),
        &verified(&file, &grant(), &[ann(), bo()]),
    );
    assert!(
        matches!(error, Err(NotAllowed::NotEnough { .. })),
        "{error:?}"
    );
}

#[test]
fn one_key_of_two_people_is_one() {
    let mut file = file();
    file[0] = file[0].replacen("ann", "ann,bo", 1);
    let policy = policy(TWO_OF_THREE);
    let alone = stands(&policy, &verified(&file, &grant(), &[ann()]));
    assert!(
        matches!(alone, Err(NotAllowed::NotEnough { .. })),
        "{alone:?}"
    );
    // With another one beside it, each counts for the name that makes two, whoever comes first.
    for other in [bo(), cy()] {
        for keys in [[ann(), other.clone()], [other.clone(), ann()]] {
            let by = stands(&policy, &verified(&file, &grant(), &keys));
            assert_eq!(by.expect("allowed").len(), 2);
        }
    }
}

#[test]
fn a_key_of_two_people_stands_for_the_one_who_did_not_sign_otherwise() {
    // Which of the keys is looked at first depends on their fingerprints, so both ways are tried.
    for names in [["ann,bo", "ann"], ["ann", "ann,bo"]] {
        let file = [
            format!("{} {}", names[0], ann().public_line()),
            format!("{} {}", names[1], bo().public_line()),
        ];
        let by = stands(
            &policy(TWO_OF_THREE),
            &verified(&file, &grant(), &[ann(), bo()]),
        );
        assert_eq!(by.expect("allowed"), ["ann", "bo"]);
    }
}

#[test]
fn a_rollback_needs_one_of_them_only() {
    let by = stands(
        &policy(TWO_OF_THREE),
        &verified(&file(), &rollback_grant(), &[cy()]),
    );
    assert_eq!(by.expect("allowed"), ["cy"]);
}

#[test]
fn a_rule_may_be_for_rollbacks_only() {
    let policy =
        policy("[[allow]]\nproject='*'\nenvironment='*'\nprincipals=['ann']\nactions=['rollback']");
    let deploy = stands(&policy, &verified(&file(), &grant(), &[ann()]));
    let Err(NotAllowed::NoRule { action, .. }) = deploy else {
        panic!("{deploy:?}");
    };
    assert_eq!(action, Action::Deploy);
    let rollback = stands(&policy, &verified(&file(), &rollback_grant(), &[ann()]));
    assert!(rollback.is_ok(), "{rollback:?}");
}

#[test]
fn a_deploy_that_clears_broken_hosts_needs_a_rule_that_lets_clear() {
    let clearing = Grant {
        clears: vec![grant().id],
        ..grant()
    };
    for (actions, clears) in [
        ("['deploy']", false),
        ("['clear']", false),
        ("['deploy', 'clear']", true),
    ] {
        let policy = policy(&format!(
            "[[allow]]\nproject='*'\nenvironment='*'\nprincipals=['ann']\nactions={actions}"
        ));
        let found = stands(&policy, &verified(&file(), &clearing, &[ann()]));
        assert_eq!(found.is_ok(), clears, "{actions}: {found:?}");
        let plain = stands(&policy, &verified(&file(), &grant(), &[ann()]));
        assert_eq!(plain.is_ok(), actions.contains("deploy"), "{plain:?}");
    }
    let policy =
        policy("[[allow]]\nproject='*'\nenvironment='*'\nprincipals=['ann']\nactions=['deploy']");
    let found = stands(&policy, &verified(&file(), &clearing, &[ann()]));
    assert_eq!(
        found.expect_err("not to clear").to_string(),
        "the policy lets nobody clear shop in prod"
    );
}

#[test]
fn another_project_or_environment_is_not_covered() {
    for allow in [
        "project='blog'\nenvironment='prod'",
        "project='shop'\nenvironment='dev'",
        "project='blog'\nenvironment='*'",
        "project='*'\nenvironment='dev'",
    ] {
        let policy = policy(&format!("[[allow]]\n{allow}\nprincipals=['ann']"));
        let error = stands(&policy, &verified(&file(), &grant(), &[ann()]));
        assert!(
            matches!(error, Err(NotAllowed::NoRule { .. })),
            "{allow}: {error:?}"
        );
    }
}

#[test]
fn any_rule_that_is_fulfilled_is_enough() {
    let web =
        format!("{TWO_OF_THREE}\n[[allow]]\nproject='*'\nenvironment='*'\nprincipals=['cy']\n");
    let by = stands(&policy(&web), &verified(&file(), &grant(), &[cy()]));
    assert_eq!(by.expect("allowed"), ["cy"]);
    let error = stands(&policy(&web), &verified(&file(), &grant(), &[ann()]));
    assert_eq!(
        error.expect_err("neither").to_string(),
        "to deploy shop in prod needs 2 of ann, bo, cy, or cy; signed by ann"
    );
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused() {
    let rule = |text: &str| {
        format!("orchestrators=[]\n[[allow]]\nproject='shop'\nenvironment='prod'\n{text}")
    };
    for (text, what) in [
        (
            rule("principals=['a']\nsignatures=2"),
            "signatures = 2, but it names 1 principals",
        ),
        (rule("principals=['a']\nsignatures=0"), "signatures = 0"),
        (rule("principals=[]"), "names 0 principals"),
        (rule("principals=['a','a']"), "named twice"),
        (rule("principals=['*']"), "is not one principal"),
    ] {
        let error = Policy::parse(&text).expect_err(what);
        assert!(matches!(error, PolicyError::Nonsense(_)), "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    }
    for (text, what) in [
        (
            rule("principals=['a']\nsignature=2"),
            "unknown field `signature`",
        ),
        (
            "orchestrators=[]\nfrost=1".to_owned(),
            "unknown field `frost`",
        ),
        ("[[allow]]".to_owned(), "missing field"),
        (
            rule("principals=['a']").replace("'shop'", "'../x'"),
            "is not a project name",
        ),
    ] {
        let Err(PolicyError::Toml(error)) = Policy::parse(&text) else {
            panic!("{text} is taken");
        };
        assert!(error.to_string().contains(what), "{error}");
    }
}
