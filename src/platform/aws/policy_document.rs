//! IAM policy documents and ARNs that dbproxy writes itself.

use crate::domain::endpoint::Region;
use crate::domain::name::DbUser;

/// `arn:<partition>:rds-db:<region>:<account>:dbuser:<resource id>/<db user>` (IAM Service
/// Authorization Reference, "Amazon RDS IAM Authentication").
pub fn dbuser_arn(region: &Region, account: &str, resource_id: &str, user: &DbUser) -> String {
    let partition = region.partition();
    format!("arn:{partition}:rds-db:{region}:{account}:dbuser:{resource_id}/{user}")
}

/// A session policy that allows `rds-db:connect` on exactly one ARN. `None` when the user's name
/// holds a character that IAM reads as a wildcard or a variable: "exactly one" could not be kept.
pub fn connect_policy(arn: &str, user: &DbUser) -> Option<String> {
    if user.as_str().contains(['*', '?', '$']) {
        return None;
    }
    let document = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn}],
    });
    Some(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_one_user_or_is_not_made() {
        let region = Region::new("cn-north-1").unwrap();
        let user = DbUser::new("app_rw").unwrap();
        let arn = dbuser_arn(&region, "111122223333", "db-ABC", &user);
        assert_eq!(
            arn,
            "arn:aws-cn:rds-db:cn-north-1:111122223333:dbuser:db-ABC/app_rw"
        );
        let policy: serde_json::Value = serde_json::from_str(&connect_policy(&arn, &user).unwrap()).unwrap();
        assert_eq!(policy["Statement"][0]["Resource"], arn);
        for wild in ["*", "app_?", "${aws:username}"] {
            let user = DbUser::new(wild).unwrap();
            assert_eq!(connect_policy("arn", &user), None, "{wild}");
        }
    }
}
