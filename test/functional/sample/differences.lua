-- Where neap does another thing than HAProxy, on purpose: the answer that is wanted, and
-- why.
return {
    -- What is missing is refused, not taken for 0 or an empty text.
    ['int(5),add'] = 'refused',
    ['int(784111777),utime'] = 'refused',
    -- A short address is not what it looks like: 10.1/16 would be 10.0.0.1/16.
    ['{ src 10.0.0.1 127.1 }'] = 'refused',
    ['{ str(10.1.2.3) -m ip 10.1/16 }'] = 'refused',
    -- Padding is no part of a text in base64.
    ['str(aGVsbG8=),ub64dec'] = '=68656C6C6F',
    -- As the manual has it.
    ['str(eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln),jwt_payload_query'] =
        '=7B22697373223A226A6F65227D',
    -- Microseconds have six digits.
    ['int(784111777000042),http_date(0,us)'] =
        '=53756E2C203036204E6F7620313939342030383A34393A33372E30303030343220474D54',
}
