"""Signs the token that dbproxy printed once more with botocore, for the same inputs: both must agree.

Arguments: host, port, region, database user; the token on standard input; keys in the environment.
"""

import datetime
import sys
import urllib.parse

import botocore.auth
import botocore.session

host, port, region, user = sys.argv[1:]
ours = sys.stdin.read().strip()
signed_at = urllib.parse.parse_qs(ours.partition("?")[2])["X-Amz-Date"][0]
then = datetime.datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ")
botocore.auth.get_current_datetime = lambda *_, **__: then
client = botocore.session.get_session().create_client("rds", region_name=region)
theirs = client.generate_db_auth_token(host, int(port), user, Region=region)
split = lambda token: (token.partition("?")[0], sorted(token.partition("?")[2].split("&")))
if "X-Amz-Security-Token" in ours:
    assert split(ours) == split(theirs), "same parameters, same values"
else:
    assert ours == theirs, "byte for byte"
print("all steps passed")
