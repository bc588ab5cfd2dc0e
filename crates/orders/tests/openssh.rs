//! The same signatures and keys as OpenSSH's own program makes and takes.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use orders::{Grant, Key, KeyError, Keyring};
use tempfile::TempDir;

use crate::given::{ann, grant, now};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode 0600");
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("a file is read")
    }

    /// Runs ssh-keygen in this folder with these words as arguments.
    fn ssh_keygen(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new("ssh-keygen")
            .args(args)
            .current_dir(self.0.path())
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh-keygen starts; it is in Debian's package openssh-client");
        let mut input = child.stdin.take().expect("its input");
        // It may end before it has read everything.
        let _broken_pipe = input.write_all(stdin);
        drop(input);
        child.wait_with_output().expect("it ends")
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn ssh_keygen_verifies_what_is_signed_here() {
    let folder = Folder::new();
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    let line = ann().allowed_signer("ann@example.org", &["grant@deploykit"]);
    folder.file("allowed", line + "\n");
    folder.file("grant.sig", orders::armored(&signed.signatures[0]));
    let bytes = orders::to_be_signed::<Grant>(&signed).expect("bytes");
    let verify = |namespace: &str, bytes: &[u8]| {
        let args = [
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            "ann@example.org",
            "-n",
            namespace,
            "-s",
            "grant.sig",
        ];
        folder.ssh_keygen(&args, bytes)
    };

    let output = verify("grant@deploykit", &bytes);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains(&ann().fingerprint()),
        "{}",
        text(&output)
    );

    assert!(!verify("order@deploykit", &bytes).status.success());
    assert!(
        !verify("grant@deploykit", &[&bytes[..], b" "].concat())
            .status
            .success()
    );
}

#[test]
fn what_ssh_keygen_signs_is_verified_here() {
    let folder = Folder::new();
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "cy", "-f", "cy"];
    let made = folder.ssh_keygen(&args, b"");
    assert!(made.status.success(), "{}", text(&made));
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    folder.file(
        "grant",
        orders::to_be_signed::<Grant>(&signed).expect("bytes"),
    );
    let args = ["-Y", "sign", "-f", "cy", "-n", "grant@deploykit", "grant"];
    let output = folder.ssh_keygen(&args, b"");
    assert!(output.status.success(), "{}", text(&output));
    let printed = folder.read("grant.sig");
    orders::add_armored(&mut signed, &printed).expect("a signature");

    assert_eq!(
        orders::armored(&signed.signatures[0]),
        printed,
        "the armor is the same"
    );
    let keyring = Keyring::parse(&format!("cy {}", folder.read("cy.pub"))).expect("a keyring");
    let verified = keyring.verify::<Grant>(&signed, now()).expect("verified");
    assert_eq!(verified.signers, ["cy"]);

    let key = Key::parse(&folder.read("cy")).expect("its key file is read here");
    assert_eq!(key.public_line(), folder.read("cy.pub").trim_end());
}

#[test]
fn ssh_keygen_reads_the_key_file_that_is_written_here() {
    let folder = Folder::new();
    folder.file("ann", ann().to_openssh());
    let output = folder.ssh_keygen(&["-y", "-f", "ann"], b"");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output).trim_end(), ann().public_line());
}

#[test]
fn a_key_with_a_passphrase_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let args = ["-q", "-t", "ed25519", "-N", "a passphrase", "-f", "key"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    let error = Key::parse(&folder.read("key")).expect_err("it is encrypted");
    assert!(matches!(error, KeyError::Encrypted), "{error:?}");
    assert!(error.to_string().contains("ssh-keygen -Y sign"), "{error}");
}

#[test]
fn a_key_of_another_type_is_refused_with_what_to_do() {
    let folder = Folder::new();
    for (kind, passphrase) in [("rsa", ""), ("ecdsa", ""), ("ecdsa", "a passphrase")] {
        let name = format!("{kind}{}", passphrase.len());
        let args = ["-q", "-t", kind, "-N", passphrase, "-f", &name];
        assert!(folder.ssh_keygen(&args, b"").status.success());
        let error = Key::parse(&folder.read(&name)).expect_err("not ed25519");
        assert!(error.to_string().contains("ed25519"), "{kind}: {error}");
    }
}

#[test]
fn a_signature_of_another_key_type_is_named_and_does_not_count() {
    let folder = Folder::new();
    let args = ["-q", "-t", "rsa", "-N", "", "-f", "key"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    folder.file(
        "grant",
        orders::to_be_signed::<Grant>(&signed).expect("bytes"),
    );
    let args = ["-Y", "sign", "-f", "key", "-n", "grant@deploykit", "grant"];
    assert!(folder.ssh_keygen(&args, b"").status.success());
    orders::add_armored(&mut signed, &folder.read("grant.sig")).expect("a signature");

    let keyring = Keyring::parse(&format!("cy {}", folder.read("key.pub"))).expect("a keyring");
    assert_eq!(keyring.notes().len(), 1, "{:?}", keyring.notes());
    let error = keyring
        .verify::<Grant>(&signed, now())
        .expect_err("rsa does not count");
    assert!(error.to_string().contains("ssh-rsa"), "{error}");
}
