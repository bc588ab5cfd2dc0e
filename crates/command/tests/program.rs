//! A program as a value.

use command::Program;

#[test]
fn it_shows_as_the_line_a_person_would_type() {
    let program =
        Program::new("git")
            .arg("fetch")
            .args(["--prune", "origin", "+refs/heads/*:refs/heads/*"]);
    assert_eq!(
        program.to_string(),
        r#"git fetch --prune origin "+refs/heads/*:refs/heads/*""#
    );
    let odd = Program::new("/bin/echo").args(["", "a b", "it's", "x\ny", "; rm -rf"]);
    assert_eq!(
        odd.to_string(),
        r#"/bin/echo "" "a b" "it's" "x\ny" "; rm -rf""#
    );
}

#[test]
fn it_is_compared_like_a_value() {
    assert_eq!(Program::new("a").arg("b"), Program::new("a").args(["b"]));
    assert_ne!(Program::new("a").env("X", "1"), Program::new("a"));
    assert_ne!(Program::new("a").folder("/"), Program::new("a"));
    assert_ne!(Program::new("a").stdin("1"), Program::new("a"));
}

#[test]
fn debug_shows_neither_values_of_variables_nor_input() {
    let program = Program::new("a").env("TOKEN", "hunter2").stdin("hunter2");
    let shown = format!("{program:?}");
    assert!(shown.contains("TOKEN"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
