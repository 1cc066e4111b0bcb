"""Two tenants of which one has a key, as rows for tests of the database."""

TENANT = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
KEY = "33333333-3333-3333-3333-333333333333"
PREFIX = "nz_aaaaaaaaa"

ROWS = f"""
INSERT INTO gateway.tenants (id, name) VALUES ('{TENANT}', 'acme'), ('{OTHER}', 'other');
INSERT INTO gateway.tenant_limits (tenant_id, rpm) VALUES ('{TENANT}', 5);
INSERT INTO gateway.api_keys (id, tenant_id, name, scopes)
    VALUES ('{KEY}', '{TENANT}', 'laptop', '{{chat}}');
INSERT INTO gateway.key_limits (key_id, rpm) VALUES ('{KEY}', 5);
INSERT INTO gateway.api_key_credentials (prefix, key_id, secret_hash)
    VALUES ('{PREFIX}', '{KEY}', 'hash');
"""
