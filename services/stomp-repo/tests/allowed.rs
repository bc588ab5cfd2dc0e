//! Which sources the root part takes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use stomp_repo::refresh::allowed;
use testkit::Folder;

/// A folder with the source `acme.sources` and a list; `ALL` in its text stands for the folder.
fn listed(text: &str) -> Folder {
    let folder = Folder::new();
    folder.write("acme.sources", "Types: deb\n");
    let text = text.replace("ALL", &folder.path().display().to_string());
    folder.write("list", &text);
    folder
}

fn ask(folder: &Folder, name: &str) -> Result<String, String> {
    let found = allowed(&folder.join("list"), &name.parse().unwrap());
    let relative = |path: std::path::PathBuf| {
        path.strip_prefix(folder.path())
            .unwrap()
            .display()
            .to_string()
    };
    found.map(relative).map_err(|refusal| refusal.to_string())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_listed_is_allowed_by_its_file_name() {
    let folder = listed("# ours\n\n  ALL/acme.sources \nALL/acme.sources\n");
    assert_eq!(ask(&folder, "acme.sources"), Ok("acme.sources".to_owned()));
}

#[test]
fn what_is_not_listed_is_refused_with_the_next_step() {
    let folder = listed("ALL/acme.sources\n#ALL/other.list\n");
    folder.write("other.list", "");
    let refused = ask(&folder, "other.list").unwrap_err();
    assert!(
        refused.starts_with("other.list is not in ")
            && refused.contains("root adds its absolute path"),
        "{refused}"
    );
    assert!(ask(&folder, "cme.sources").is_err());
}

#[test]
fn a_list_that_says_two_things_is_refused() {
    let folder = listed("ALL/acme.sources\nALL/b/acme.sources\n");
    assert!(
        ask(&folder, "acme.sources")
            .unwrap_err()
            .contains("is twice in")
    );
    for line in [
        "acme.sources",
        "ALL/../x/acme.sources",
        "ALL/a b.list",
        "ALL/./acme.sources",
    ] {
        let folder = listed(&format!("ALL/acme.sources\n{line}\n"));
        let refused = ask(&folder, "acme.sources").unwrap_err();
        assert!(
            refused.contains("is no absolute path without . and .."),
            "{line}: {refused}"
        );
    }
}

#[test]
fn what_others_can_change_is_refused() {
    let text = "ALL/acme.sources\n";
    for (file, bits) in [("list", 0o664), ("list", 0o646), ("acme.sources", 0o666)] {
        let folder = listed(text);
        mode(&folder.join(file), bits);
        let refused = ask(&folder, "acme.sources").unwrap_err();
        assert!(
            refused.contains("must be root's, and writable by nobody else"),
            "{file}: {refused}"
        );
    }
    let folder = listed(text);
    mode(folder.path(), 0o777);
    assert!(ask(&folder, "acme.sources").is_err(), "the folder above");
}

#[test]
fn links_and_what_is_no_file_are_refused() {
    let folder = listed("ALL/acme.sources\n");
    fs::rename(folder.join("acme.sources"), folder.join("real")).unwrap();
    symlink("real", folder.join("acme.sources")).unwrap();
    assert!(
        ask(&folder, "acme.sources")
            .unwrap_err()
            .ends_with("is no regular file")
    );
    fs::remove_file(folder.join("acme.sources")).unwrap();
    assert!(
        ask(&folder, "acme.sources")
            .unwrap_err()
            .starts_with("cannot read")
    );
    fs::create_dir(folder.join("acme.sources")).unwrap();
    assert!(
        ask(&folder, "acme.sources")
            .unwrap_err()
            .ends_with("is no regular file")
    );
    let none = allowed(&folder.join("nowhere"), &"acme.sources".parse().unwrap());
    assert!(none.unwrap_err().to_string().starts_with("cannot read"));
}
