//! What may be an origin.

use git::{Origin, OriginError, Transport};

#[test]
fn addresses_of_every_allowed_kind_are_taken() {
    let table = [
        ("https://git.example.org/group/shop.git", Transport::Https),
        ("http://127.0.0.1:8080/shop", Transport::Http),
        ("ssh://git@git.example.org:2222/shop.git", Transport::Ssh),
        ("git@git.example.org:group/shop.git", Transport::Ssh),
        ("git.example.org:/srv/git/shop.git", Transport::Ssh),
        ("file:///srv/git/shop.git", Transport::File),
        ("/srv/our git/shop.git", Transport::File),
    ];
    for (text, transport) in table {
        let origin: Origin = text.parse().unwrap();
        assert_eq!(origin.transport(), transport, "{text}");
        assert_eq!(origin.to_string(), text);
    }
}

#[test]
fn an_address_with_a_password_is_refused_without_repeating_it() {
    let table = [
        "https://user:hunter2@git.example.org/shop.git",
        "https://hunter2@git.example.org/shop.git",
        "ssh://git:hunter2@git.example.org/shop.git",
        "git:hunter2@git.example.org:shop.git",
    ];
    for text in table {
        let error = text.parse::<Origin>().unwrap_err();
        assert_eq!(error, OriginError::Credentials, "{text}");
        assert!(!error.to_string().contains("hunter2"), "{text}");
    }
}

#[test]
fn other_ways_and_options_in_disguise_are_refused() {
    let table = [
        "",
        "shop",
        "../shop",
        "./git@host:shop",
        "git://git.example.org/shop",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "file://host/srv/shop",
        "ssh://-oProxyCommand=x/shop",
        "ssh://git@-oProxyCommand=x/shop",
        "-oProxyCommand=x:shop",
        "git@host:-x",
        "--upload-pack=x:y",
        "https://git.example.org",
        "https:///shop",
        "https://git.example.org/shop?token=1",
        "https://git.example.org/a b",
        "/srv/a\nb",
    ];
    for text in table {
        assert!(text.parse::<Origin>().is_err(), "{text:?} was taken");
    }
}
