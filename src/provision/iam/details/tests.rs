//! What the command prints is read; what is not whole is told.

use super::*;
use serde_json::json;
use std::time::Duration;

fn document() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "a b/+*" }] })
}

fn page() -> Value {
    let attached = json!([{ "PolicyName": "p", "PolicyArn": "arn:aws:iam::111122223333:policy/x/p" },
                          { "PolicyName": "Own", "PolicyArn": "arn:aws:iam::aws:policy/Own" }]);
    let encoded: String = document()
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    json!({
        "UserDetailList": [{ "Arn": "arn:aws:iam::111122223333:user/u", "GroupList": ["g"],
            "UserPolicyList": [{ "PolicyName": "i", "PolicyDocument": encoded }] }],
        "GroupDetailList": [{ "Arn": "arn:aws:iam::111122223333:group/path/g", "AttachedManagedPolicies": attached }],
        "RoleDetailList": [{ "Arn": "arn:aws:iam::111122223333:role/r", "AssumeRolePolicyDocument": document().to_string(),
            "Tags": [{ "Key": "k", "Value": "v" }], "MaxSessionDuration": 7200 }],
        "Policies": [
            { "Arn": "arn:aws:iam::111122223333:policy/x/p", "PolicyName": "p", "DefaultVersionId": "v2",
              "PolicyVersionList": [{ "VersionId": "v1", "Document": {} }, { "VersionId": "v2", "Document": document() }] },
            { "Arn": "arn:aws:iam::aws:policy/Own", "PolicyName": "Own", "DefaultVersionId": "v1",
              "PolicyVersionList": [{ "VersionId": "v1", "Document": document() }] }],
        "IsTruncated": false
    })
}

fn read(pages: &[&Value]) -> Result<Vec<Found>, DetailsError> {
    let mut details = Details::default();
    for page in pages {
        details.take("f.json", page.to_string().as_bytes());
    }
    details.finish()
}

#[track_caller]
fn mistaken(page: &Value, what: &str) {
    let told = read(&[page]).unwrap_err().to_string();
    assert!(told.contains(what), "{what}\n{told}");
}

#[test]
fn an_account_is_read_in_any_writing_of_its_documents() {
    let found = read(&[&page()]).unwrap();
    let [account] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (account.partition.as_str(), account.account.as_str()),
        ("aws", "111122223333")
    );
    let user = &account.principals["arn:aws:iam::111122223333:user/u"];
    assert_eq!(user.held.inline["i"], document());
    let group = "arn:aws:iam::111122223333:group/path/g";
    assert_eq!(user.groups, BTreeSet::from([group.to_owned()]));
    assert_eq!(account.groups[group].attached.len(), 2);
    let role = account.principals["arn:aws:iam::111122223333:role/r"]
        .role
        .as_ref()
        .unwrap();
    assert_eq!(role.trust, document());
    assert_eq!(role.max_session, Some(Duration::from_secs(7200)));
    assert_eq!(role.tags["k"], "v");
    let policy = &account.managed["arn:aws:iam::111122223333:policy/x/p"];
    assert_eq!(
        (policy.versions.clone(), &policy.document),
        (vec!["v2".to_owned(), "v1".to_owned()], &document())
    );
}

#[test]
fn pages_are_joined_and_accounts_kept_apart() {
    let mut first = page();
    first["IsTruncated"] = json!(true);
    mistaken(&first, "account 111122223333: the last page is missing");
    assert_eq!(read(&[&first, &page()]).unwrap().len(), 1);
    // Where the pages end is not where accounts or lists do.
    let mut second = page();
    for name in ["UserDetailList", "RoleDetailList", "GroupDetailList"] {
        first[name] = std::mem::replace(&mut second[name], json!([]));
    }
    first["Policies"] = json!([]);
    let found = read(&[&first, &second]).unwrap();
    assert_eq!(found, read(&[&page()]).unwrap());
    second["Policies"].as_array_mut().unwrap().remove(0);
    let mut between = page();
    between["IsTruncated"] = json!(true);
    assert_eq!(
        read(&[&between, &second]).unwrap(),
        found,
        "a last page without the account's number"
    );
    let other: Value =
        serde_json::from_str(&page().to_string().replace("111122223333", "444455556666")).unwrap();
    let found = read(&[&page(), &other]).unwrap();
    assert_eq!(found.len(), 2);
    assert!(
        found.iter().all(|account| account.managed.len() == 2),
        "{found:?}"
    );
}

#[test]
fn what_is_not_whole_is_told_with_its_place() {
    mistaken(&json!([]), "f.json: is no JSON object");
    mistaken(&json!({}), "f.json: Policies: is missing");
    let mut page = page();
    page["Policies"] = json!([]);
    mistaken(
        &page,
        "has the policy arn:aws:iam::aws:policy/Own, which Policies does not have",
    );
    page["GroupDetailList"] = json!([]);
    mistaken(&page, "is in the group `g`, which GroupDetailList does not have");
    page["UserDetailList"] = json!({});
    mistaken(&page, "f.json: UserDetailList: is no list");
    for odd in [json!("%7"), json!("%zz"), json!("%5b%5d"), json!(1), json!(null)] {
        page["RoleDetailList"][0]["AssumeRolePolicyDocument"] = odd;
        mistaken(
            &page,
            "RoleDetailList[0].AssumeRolePolicyDocument: is no policy document",
        );
    }
    page["RoleDetailList"] = json!([{ "Arn": "arn:aws:s3:::x" }, {}]);
    mistaken(
        &page,
        "RoleDetailList[0].Arn: `arn:aws:s3:::x` is not an ARN of IAM",
    );
    mistaken(&page, "RoleDetailList[1].Arn: is missing");
    let mut details = Details::default();
    details.take("f.json", b"{");
    assert!(
        details
            .finish()
            .unwrap_err()
            .to_string()
            .contains("f.json: is no JSON")
    );
    assert!(Details::default().finish().is_err(), "nothing at all");
}
