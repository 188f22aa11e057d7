# Written by dbproxy iam-policy.

resource "aws_iam_role_policy" "policy_1_of_role_monitoring" {
  name = "dbproxy-connect-1"
  role = "monitoring"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : [
          "sts:AssumeRole",
          "sts:SetSourceIdentity",
          "sts:TagSession"
        ],
        "Resource" : [
          "arn:aws:iam::111122223333:role/dbproxy-monitoring"
        ]
      }
    ]
  })
}
