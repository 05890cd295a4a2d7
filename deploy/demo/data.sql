-- The rows of the demo database. Deterministic: every value is a function of the row's number, through the server's
-- own hash functions, so that two machines get the same rows. `scale` (default 1: about 1.5 million rows) multiplies
-- the large tables.
\set ON_ERROR_STOP on
\if :{?scale}
\else
  \set scale 1
\endif
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
SET synchronous_commit = off;

SELECT greatest(round(:scale * 100000)::int, 200) AS users,
       greatest(round(:scale * 400)::int, 40) AS courses,
       greatest(round(:scale * 1600)::int, 160) AS runs,
       greatest(round(:scale * 60)::int, 12) AS programs,
       greatest(round(:scale * 300000)::int, 600) AS enrollments,
       greatest(round(:scale * 200000)::int, 400) AS audits,
       greatest(round(:scale * 60000)::int, 120) AS orders,
       greatest(round(:scale * 120000)::int, 240) AS versions,
       greatest(round(:scale * 2000)::int, 60) AS pages
\gset

-- pick(i, salt, n): a number in [0, n) that depends on i and salt alone.
CREATE FUNCTION pg_temp.pick(i bigint, salt bigint, n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(i, salt) & 9223372036854775807) % n;

-- moment(i, salt): an instant between 2016 and 2026, to the microsecond.
CREATE FUNCTION pg_temp.moment(i bigint, salt bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timestamptz '2016-01-01 00:00:00+00' + pg_temp.pick(i, salt, 315360000000000) * interval '1 microsecond';

CREATE FUNCTION pg_temp.given_name(i bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['Ada', 'José', 'Zoë', 'Łukasz', '小林', 'Nguyễn', 'Олена', 'Μαρία', 'فاطمة', 'אורי', 'Siân', 'Bjørn',
                  'Chukwuemeka', 'Priya', 'प्रिया', '지우', 'Ṣadé', 'Renée', 'İbrahim', 'Thảo', 'O''Brien', 'Ana-María',
                  'Jürgen', 'Nikolaj', 'สมชาย', 'Maël', 'Đorđe', 'Anaïs', 'Håkon', 'Amélie', '🦉 Owl', 'Null'])
           [1 + pg_temp.pick(i, 101, 32)];

CREATE FUNCTION pg_temp.family_name(i bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['Lovelace', 'García', 'Müller', 'Wiśniewski', '山田', 'Trần', 'Шевченко', 'Παπαδόπουλος', 'حسن',
                  'כהן', 'ap Rhys', 'Sørensen', 'Okafor', 'Sharma', 'शर्मा', '김', 'Adéyẹmí', 'Lefèvre', 'Yılmaz', 'Phạm',
                  'de la Cruz', 'van ’t Hoff', 'Groß', 'Hansen', 'ใจดี', 'Benoît', 'Petrović', 'Noël', 'Åberg', 'D"Arc',
                  'back\slash', 'tab	bed'])
           [1 + pg_temp.pick(i, 102, 32)];

CREATE FUNCTION pg_temp.country(i bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['US', 'IN', 'BR', 'GB', 'DE', 'NG', 'JP', 'VN', 'UA', 'GR', 'EG', 'IL', 'TR', 'KR', 'TH', 'MX'])
           [1 + pg_temp.pick(i, 103, 16)];

CREATE FUNCTION pg_temp.subject(i bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['Machine Learning', 'Thermodynamics', 'Économie du développement', 'Квантовая механика', '量子力学',
                  'Data Analysis for Social Scientists', 'Supply Chain Fundamentals', 'Linear Algebra', 'Bio­chemistry',
                  'Génie logiciel', 'Probability – The Science of Uncertainty', 'Design of "Good" Policies'])
           [1 + pg_temp.pick(i, 104, 12)];

INSERT INTO django_content_type (id, app_label, model) VALUES
    (1, 'courses', 'course'), (2, 'courses', 'courserun'), (3, 'courses', 'program'), (4, 'courses', 'programrun'),
    (5, 'ecommerce', 'order'), (6, 'ecommerce', 'product'), (7, 'users', 'user'), (8, 'cms', 'coursepage'),
    (9, 'cms', 'instructorpage'), (10, 'b2b', 'organizationpage'), (11, 'b2b', 'contractpage'),
    (12, 'flexiblepricing', 'flexibleprice');

INSERT INTO users_user (id, password, last_login, is_superuser, created_on, updated_on, username, email, name, is_staff,
                        is_active, global_id, last_address)
SELECT i, 'pbkdf2_sha256$' || md5('password ' || i),
       CASE pg_temp.pick(i, 1, 20) WHEN 0 THEN NULL ELSE pg_temp.moment(i, 2) END,
       i <= 3, pg_temp.moment(i, 3), pg_temp.moment(i, 4), 'learner_' || i,
       'learner' || i || '@' || (ARRAY['example.edu', 'example.org', 'bücher.example', 'mail.example'])[1 + pg_temp.pick(i, 5, 4)],
       pg_temp.given_name(i) || ' ' || pg_temp.family_name(i), i <= 40, pg_temp.pick(i, 6, 50) <> 0,
       md5('user ' || i)::uuid,
       CASE pg_temp.pick(i, 7, 3)
           WHEN 0 THEN NULL
           WHEN 1 THEN ('2001:db8::' || to_hex(pg_temp.pick(i, 8, 65536)))::inet
           ELSE ('192.0.2.' || pg_temp.pick(i, 8, 256))::inet
       END
FROM generate_series(1, :users) AS i;

INSERT INTO users_legaladdress (id, created_on, updated_on, country, state, user_id)
SELECT i, pg_temp.moment(i, 10), pg_temp.moment(i, 11), pg_temp.country(i),
       CASE WHEN pg_temp.pick(i, 12, 2) = 0 THEN pg_temp.country(i) || '-' || pg_temp.pick(i, 13, 90) END, i
FROM generate_series(1, :users) AS i;

INSERT INTO users_userprofile (id, created_on, updated_on, gender, year_of_birth, company, job_title, industry,
                               job_function, company_size, years_experience, leadership_level, highest_education,
                               type_is_student, type_is_professional, type_is_educator, type_is_other, addl_field_flag,
                               user_id)
SELECT i, pg_temp.moment(i, 20), pg_temp.moment(i, 21),
       (ARRAY['f', 'm', 'nb', 't', 'o', NULL, ''])[1 + pg_temp.pick(i, 22, 7)],
       CASE WHEN pg_temp.pick(i, 23, 4) > 0 THEN 1940 + pg_temp.pick(i, 24, 70) END,
       CASE WHEN pg_temp.pick(i, 25, 3) = 0 THEN pg_temp.family_name(i + 7) || ' & Söhne' END,
       CASE WHEN pg_temp.pick(i, 26, 3) = 0 THEN 'Engineer – ' || pg_temp.subject(i) END,
       (ARRAY['Education', 'Энергетика', '', NULL])[1 + pg_temp.pick(i, 27, 4)],
       (ARRAY['Research', 'Operations', NULL])[1 + pg_temp.pick(i, 28, 3)],
       (ARRAY[1, 9, 99, 999, 10000, NULL])[1 + pg_temp.pick(i, 29, 6)],
       pg_temp.pick(i, 30, 41), NULL,
       (ARRAY['Doctorate', 'Master''s or professional degree', 'Bachelor''s degree', 'Other education', NULL])[1 + pg_temp.pick(i, 31, 5)],
       pg_temp.pick(i, 32, 2) = 0, pg_temp.pick(i, 33, 2) = 0, pg_temp.pick(i, 34, 9) = 0, NULL, pg_temp.pick(i, 35, 2) = 0, i
FROM generate_series(1, :users) AS i;

INSERT INTO openedx_openedxuser (id, platform, edx_username, desired_edx_username, has_been_synced, created_on, updated_on, user_id)
SELECT i, 'edx', CASE WHEN pg_temp.pick(i, 40, 10) > 0 THEN 'edx_' || i END, 'learner_' || i,
       pg_temp.pick(i, 40, 10) > 0, pg_temp.moment(i, 41), pg_temp.moment(i, 42), i
FROM generate_series(1, :users) AS i;

INSERT INTO courses_department (id, created_on, updated_on, name)
SELECT i, pg_temp.moment(i, 50), pg_temp.moment(i, 51), 'Department ' || i || ': ' || pg_temp.subject(i)
FROM generate_series(1, 24) AS i;

INSERT INTO courses_coursestopic (id, created_on, updated_on, name, parent_id)
SELECT i, pg_temp.moment(i, 55), pg_temp.moment(i, 56), pg_temp.subject(i), CASE WHEN i > 12 THEN 1 + pg_temp.pick(i, 57, 12) END
FROM generate_series(1, 80) AS i;

INSERT INTO courses_program (id, created_on, updated_on, title, readable_id, live, program_type)
SELECT i, pg_temp.moment(i, 60), pg_temp.moment(i, 61), 'MicroMasters® in ' || pg_temp.subject(i),
       'program-v1:DemoX+P' || i, pg_temp.pick(i, 62, 3) > 0, (ARRAY['MicroMasters®', 'Series', NULL])[1 + pg_temp.pick(i, 63, 3)]
FROM generate_series(1, :programs) AS i;

-- Runs before the common era and after the year 9999 are real data somewhere.
INSERT INTO courses_programrun (id, created_on, updated_on, run_tag, start_date, end_date, program_id)
SELECT i, pg_temp.moment(i, 65), pg_temp.moment(i, 66), 'R' || i,
       CASE i % 9 WHEN 0 THEN timestamptz '0753-04-21 00:00:00+00 BC' ELSE pg_temp.moment(i, 67) END,
       CASE i % 9 WHEN 1 THEN timestamptz '12026-06-30 23:59:59.999999+00' WHEN 2 THEN timestamptz 'infinity'
                  WHEN 3 THEN NULL ELSE pg_temp.moment(i, 68) END,
       1 + (i - 1) % :programs
FROM generate_series(1, :programs * 2) AS i;

INSERT INTO courses_course (id, created_on, updated_on, title, readable_id, live, language_codes, credit_hours, catalog_attributes)
SELECT i, pg_temp.moment(i, 70), pg_temp.moment(i, 71), pg_temp.subject(i) || ' ' || i, 'course-v1:DemoX+' || i || 'x',
       pg_temp.pick(i, 72, 4) > 0,
       CASE pg_temp.pick(i, 73, 5) WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN ARRAY['en', NULL, 'zh-hant']
                                   ELSE ARRAY['en', 'es'] END::varchar(10)[],
       pg_temp.pick(i, 74, 2400) / 100.0,
       CASE WHEN i % 3 = 0 THEN hstore(ARRAY['level', 'room'], ARRAY['advanced', NULL]) END
FROM generate_series(1, :courses) AS i;

INSERT INTO courses_course_departments (course_id, department_id)
SELECT i, 1 + (i * 5 + j * 7) % 24 FROM generate_series(1, :courses) AS i, generate_series(0, 1) AS j;

INSERT INTO courses_programrequirement (id, path, depth, numchild, node_type, operator, operator_value, title, course_id, program_id)
SELECT i, lpad(i::text, 8, '0'), 1 + i % 3, i % 5, (ARRAY['program_root', 'operator', 'course'])[1 + i % 3],
       CASE WHEN i % 3 = 1 THEN 'min_number_of' END, CASE WHEN i % 3 = 1 THEN (1 + i % 4)::text END,
       CASE WHEN i % 3 = 1 THEN 'Electives – ' || pg_temp.subject(i) END,
       CASE WHEN i % 3 = 2 THEN 1 + pg_temp.pick(i, 76, :courses) END, 1 + (i - 1) % :programs
FROM generate_series(1, :programs * 12) AS i;

INSERT INTO courses_blockedcountry (id, created_on, updated_on, country, course_id)
SELECT i, pg_temp.moment(i, 77), pg_temp.moment(i, 78), pg_temp.country(i), 1 + pg_temp.pick(i, 79, :courses)
FROM generate_series(1, 60) AS i;

INSERT INTO courses_courserun (id, created_on, updated_on, title, courseware_id, run_tag, courseware_url_path, has_courseware_url,
                               start_date, end_date, enrollment_start, enrollment_end, expiration_date, upgrade_deadline,
                               live, is_self_paced, pace, open_period, weekly_effort, course_id)
SELECT i, pg_temp.moment(i, 80), pg_temp.moment(i, 81), pg_temp.subject(1 + (i - 1) % :courses) || ' ' || i,
       'course-v1:DemoX+' || (1 + (i - 1) % :courses) || 'x+' || (1 + (i - 1) / :courses) || 'T2024',
       (1 + (i - 1) / :courses) || 'T2024', CASE WHEN i % 6 > 0 THEN '/courses/' || i || '/' END, i % 6 > 0,
       pg_temp.moment(i, 82), pg_temp.moment(i, 82) + interval '12 weeks',
       CASE WHEN i % 41 = 0 THEN '-infinity' ELSE pg_temp.moment(i, 82) - interval '30 days' END,
       CASE WHEN i % 37 = 0 THEN 'infinity' ELSE pg_temp.moment(i, 82) + interval '60 days' END,
       CASE WHEN i % 53 = 0 THEN timestamptz '294276-12-31 23:59:59+00' END, NULL,
       i % 5 > 0, i % 2 = 0, CASE WHEN i % 97 = 0 THEN 'Ünbestimmt' WHEN i % 2 = 0 THEN 'self_paced' ELSE 'instructor_paced' END::courses_run_pace,
       CASE WHEN i % 7 = 0 THEN tstzrange(NULL, pg_temp.moment(i, 82)) WHEN i % 11 = 0 THEN 'empty'
            ELSE tstzrange(pg_temp.moment(i, 82), pg_temp.moment(i, 82) + interval '12 weeks', '[)') END,
       make_interval(hours => (i % 12)::int, mins => (i % 4)::int * 15), 1 + (i - 1) % :courses
FROM generate_series(1, :runs) AS i;

-- Enrollment i is user i mod users in that user's i div users-th run: every pair once.
INSERT INTO courses_courserunenrollment (id, created_on, updated_on, change_status, active, edx_enrolled, edx_emails_subscription,
                                         enrollment_mode, run_id, user_id)
SELECT i, pg_temp.moment(i, 90), pg_temp.moment(i, 91), (ARRAY['deferred', 'refunded', 'unenrolled', NULL, NULL, NULL, NULL])[1 + pg_temp.pick(i, 92, 7)],
       pg_temp.pick(i, 92, 7) > 2, pg_temp.pick(i, 93, 30) > 0, pg_temp.pick(i, 94, 2) = 0,
       CASE WHEN pg_temp.pick(i, 95, 5) = 0 THEN 'verified' ELSE 'audit' END,
       1 + (pg_temp.pick((i - 1) % :users, 96, :runs) + (i - 1) / :users) % :runs, 1 + (i - 1) % :users
FROM generate_series(1, :enrollments) AS i;

INSERT INTO courses_courserunenrollmentaudit (id, created_on, updated_on, data_before, data_after, acting_user_id, enrollment_id)
SELECT i, pg_temp.moment(i, 100), pg_temp.moment(i, 100),
       CASE WHEN i % 4 > 0 THEN jsonb_build_object('active', false, 'mode', 'audit', 'run', i % :runs) END,
       jsonb_build_object('active', i % 3 > 0, 'mode', CASE WHEN i % 5 = 0 THEN 'verified' ELSE 'audit' END,
                          'user', jsonb_build_object('name', pg_temp.given_name(i), 'id', 1 + (i - 1) % :users),
                          'history', jsonb_build_array(i, i / 7.0, NULL, 'Ω', true),
                          'big', 12345678901234567890.123456789 * i),
       CASE WHEN i % 2 = 0 THEN 1 + i % 40 END, 1 + (i - 1) % :enrollments
FROM generate_series(1, :audits) AS i;

INSERT INTO courses_courserungrade (id, created_on, updated_on, grade, letter_grade, passed, set_by_admin, course_run_id, user_id)
SELECT e.id, e.created_on, e.updated_on,
       CASE pg_temp.pick(e.id, 110, 4000) WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN 'Infinity'::float8 WHEN 2 THEN '-0'::float8
            ELSE pg_temp.pick(e.id, 111, 1000001) / 1000000.0 END,
       (ARRAY['A', 'B', 'C', 'F', NULL])[1 + pg_temp.pick(e.id, 112, 5)], pg_temp.pick(e.id, 113, 3) > 0,
       pg_temp.pick(e.id, 114, 90) = 0, e.run_id, e.user_id
FROM courses_courserunenrollment AS e WHERE e.id % 2 = 0;

INSERT INTO courses_courseruncertificate (id, created_on, updated_on, uuid, is_revoked, issue_date, certificate_page_revision_id, course_run_id, user_id)
SELECT g.id, g.created_on, g.updated_on, md5('certificate ' || g.id)::uuid, g.id % 400 = 0,
       CASE WHEN g.id % 10 > 0 THEN g.created_on END, NULL, g.course_run_id, g.user_id
FROM courses_courserungrade AS g WHERE g.passed AND g.id % 3 = 0;

INSERT INTO courses_programenrollment (id, created_on, updated_on, change_status, active, enrollment_mode, program_id, user_id)
SELECT i, pg_temp.moment(i, 120), pg_temp.moment(i, 121), NULL, i % 9 > 0, 'audit', 1 + pg_temp.pick(i, 122, :programs), i
FROM generate_series(1, :users / 4) AS i;

INSERT INTO courses_programcertificate (id, created_on, updated_on, uuid, is_revoked, issue_date, certificate_page_revision_id, program_id, user_id)
SELECT i, pg_temp.moment(i, 125), pg_temp.moment(i, 126), md5('program certificate ' || i)::uuid, false,
       CASE i % 500 WHEN 0 THEN 'infinity'::date WHEN 1 THEN '10000-01-01'::date ELSE pg_temp.moment(i, 127)::date END,
       NULL, 1 + pg_temp.pick(i, 122, :programs), i
FROM generate_series(1, :users / 20) AS i;

INSERT INTO ecommerce_product (id, created_on, updated_on, price, description, is_active, object_id, content_type_id)
SELECT i, pg_temp.moment(i, 130), pg_temp.moment(i, 131), (50 + pg_temp.pick(i, 132, 200000) / 100.0)::numeric(7, 2),
       'course-v1:DemoX+' || i, i % 8 > 0, i, 2
FROM generate_series(1, :runs) AS i;

INSERT INTO ecommerce_discount (id, created_on, updated_on, amount, automatic, discount_type, redemption_type, payment_type,
                                max_redemptions, discount_code, activation_date, expiration_date)
SELECT i, pg_temp.moment(i, 135), pg_temp.moment(i, 136), pg_temp.pick(i, 137, 10000000) / 100000.0, i % 20 = 0,
       (ARRAY['percent-off', 'dollars-off', 'fixed-price'])[1 + i % 3], (ARRAY['one-time', 'unlimited'])[1 + i % 2],
       (ARRAY['marketing', 'staff', NULL])[1 + i % 3], CASE WHEN i % 2 = 0 THEN 1 END, 'CODE-' || upper(left(md5('code ' || i), 10)),
       CASE WHEN i % 6 = 0 THEN '-infinity'::timestamptz ELSE pg_temp.moment(i, 138) END,
       CASE WHEN i % 6 = 1 THEN 'infinity'::timestamptz ELSE pg_temp.moment(i, 138) + interval '1 year' END
FROM generate_series(1, 3000) AS i;

INSERT INTO ecommerce_basket (id, created_on, updated_on, user_id)
SELECT i, pg_temp.moment(i, 140), pg_temp.moment(i, 141), i FROM generate_series(1, :users / 5) AS i;

INSERT INTO ecommerce_basketitem (id, created_on, updated_on, quantity, basket_id, product_id)
SELECT i, pg_temp.moment(i, 142), pg_temp.moment(i, 143), 1, i, 1 + pg_temp.pick(i, 144, :runs) FROM generate_series(1, :users / 5) AS i;

INSERT INTO ecommerce_order (id, created_on, updated_on, state, total_price_paid, reference_number, purchaser_id)
SELECT i, pg_temp.moment(i, 150), pg_temp.moment(i, 151),
       (ARRAY['fulfilled', 'fulfilled', 'fulfilled', 'pending', 'refunded', 'canceled', 'declined'])[1 + pg_temp.pick(i, 152, 7)],
       pg_temp.pick(i, 153, 2000000000) / 100000.0, 'mitxonline-demo-' || i, 1 + pg_temp.pick(i, 154, :users)
FROM generate_series(1, :orders) AS i;

INSERT INTO ecommerce_line (id, created_on, updated_on, quantity, order_id, product_version_id, purchased_content_type_id, purchased_object_id)
SELECT i, pg_temp.moment(i, 155), pg_temp.moment(i, 156), 1, i, 1 + pg_temp.pick(i, 157, :versions), 2, 1 + pg_temp.pick(i, 158, :runs)
FROM generate_series(1, :orders) AS i;

INSERT INTO ecommerce_transaction (id, created_on, updated_on, transaction_id, transaction_type, amount, reason, data, receipt, order_id)
SELECT i, pg_temp.moment(i, 160), pg_temp.moment(i, 161), md5('transaction ' || i), CASE WHEN i % 12 = 0 THEN 'refund' ELSE 'payment' END,
       pg_temp.pick(i, 153, 2000000000) / 100000.0, CASE WHEN i % 12 = 0 THEN 'Запит учня — “changed mind”' END,
       jsonb_build_object('decision', 'ACCEPT', 'req_amount', (pg_temp.pick(i, 162, 1000000) / 100.0)::text,
                          'req_bill_to_forename', pg_temp.given_name(i), 'req_bill_to_surname', pg_temp.family_name(i),
                          'message', repeat('Request was processed successfully. ', 1 + (i % 4)::int),
                          'signed_at', pg_temp.moment(i, 160)),
       CASE WHEN i % 5 = 0 THEN decode(md5('receipt ' || i), 'hex') END, i
FROM generate_series(1, :orders) AS i;

INSERT INTO ecommerce_discountredemption (id, created_on, redemption_date, redeemed_by_id, redeemed_discount_id, redeemed_order_id)
SELECT i, pg_temp.moment(i, 165), pg_temp.moment(i, 166), 1 + pg_temp.pick(i, 154, :users), 1 + pg_temp.pick(i, 167, 3000), i
FROM generate_series(1, :orders / 6) AS i;

INSERT INTO flexiblepricing_currencyexchangerate (id, created_on, updated_on, currency_code, exchange_rate, description)
SELECT i, pg_temp.moment(i, 170), pg_temp.moment(i, 171), chr(65 + (i / 26)) || chr(65 + i % 26) || 'D',
       pg_temp.pick(i, 172, 999999999999999) / 1000000000.0, CASE i % 3 WHEN 0 THEN 'ден' WHEN 1 THEN '' END
FROM generate_series(1, 150) AS i;

INSERT INTO flexiblepricing_countryincomethreshold (id, created_on, updated_on, country_code, income_threshold)
SELECT i, pg_temp.moment(i, 175), pg_temp.moment(i, 176), chr(65 + (i / 26)) || chr(65 + i % 26), (i % 5) * 25000
FROM generate_series(1, 200) AS i;

INSERT INTO flexiblepricing_flexiblepricetier (id, created_on, updated_on, current, income_threshold_usd, courseware_object_id,
                                               courseware_content_type_id, discount_id)
SELECT i, pg_temp.moment(i, 177), pg_temp.moment(i, 178), i % 4 > 0, (i % 4) * 25000, 1 + i % :courses, 1, 1 + i % 3000
FROM generate_series(1, 120) AS i;

INSERT INTO flexiblepricing_flexibleprice (id, created_on, updated_on, status, income_usd, original_income, original_currency,
                                           country_of_income, country_of_residence, date_exchange_rate, date_documents_sent,
                                           justification, courseware_object_id, courseware_content_type_id, cms_submission_id,
                                           tier_id, user_id)
SELECT i, pg_temp.moment(i, 180), pg_temp.moment(i, 181), (ARRAY['approved', 'auto-approved', 'denied', 'reset'])[1 + i % 4],
       CASE pg_temp.pick(i, 182, 200) WHEN 0 THEN 'NaN'::numeric WHEN 1 THEN NULL WHEN 2 THEN 123456789012345678901234567890.123456789
            ELSE pg_temp.pick(i, 183, 20000000) / 100.0 END,
       pg_temp.pick(i, 184, 900000000) / 1000.0, (ARRAY['USD', 'EUR', 'JPY', 'INR', NULL])[1 + i % 5],
       pg_temp.country(i), pg_temp.country(i + 1), pg_temp.moment(i, 185),
       CASE i % 700 WHEN 0 THEN '0044-03-15 BC'::date WHEN 1 THEN 'infinity'::date WHEN 2 THEN '5874897-12-31'::date
            WHEN 3 THEN '-infinity'::date WHEN 4 THEN NULL ELSE pg_temp.moment(i, 186)::date END,
       CASE WHEN i % 3 = 0 THEN '' ELSE E'Line one\nline two – ' || pg_temp.subject(i) END,
       1 + pg_temp.pick(i, 187, :courses), 1, NULL, 1 + pg_temp.pick(i, 188, 120), 1 + pg_temp.pick(i, 189, :users)
FROM generate_series(1, :users / 5) AS i;

INSERT INTO wagtailimages_image (id, title, file, width, height, created_at, focal_point_x, focal_point_y, focal_point_width,
                                 focal_point_height, file_size, file_hash, description, collection_id, uploaded_by_user_id)
SELECT i, 'image_' || i || '.png', 'original_images/image_' || i || '.png', 640 + pg_temp.pick(i, 190, 1000), 480, pg_temp.moment(i, 191),
       NULL, NULL, NULL, NULL, pg_temp.pick(i, 192, 5000000), md5('image ' || i), '', 1, 1 + pg_temp.pick(i, 193, 40)
FROM generate_series(1, :pages / 2) AS i;

-- Pages 1 to courses are course pages, the next 40 instructors, then organizations and contracts.
INSERT INTO wagtailcore_page (id, path, depth, numchild, title, draft_title, slug, live, has_unpublished_changes, url_path, seo_title,
                              show_in_menus, search_description, go_live_at, expire_at, expired, locked, first_published_at,
                              last_published_at, latest_revision_created_at, live_revision_id, content_type_id, owner_id)
SELECT i, lpad(i::text, 12, '0'), 3, i % 4, pg_temp.subject(i) || ' ' || i, pg_temp.subject(i) || ' ' || i, 'page-' || i, i % 9 > 0, i % 13 = 0,
       '/home/page-' || i || '/', '', i % 2 = 0, '', NULL, CASE WHEN i % 50 = 0 THEN timestamptz '9999-12-31 23:59:59.999999+00' END,
       i % 90 = 0, false, pg_temp.moment(i, 195), pg_temp.moment(i, 196), pg_temp.moment(i, 197), NULL, 8, CASE WHEN i % 3 > 0 THEN 1 + i % 40 END
FROM generate_series(1, :pages + :courses) AS i;

INSERT INTO cms_coursepage (page_ptr_id, description, length, effort, price, prerequisites, faq_url, about, what_you_learn,
                            faculty_section_title, video_url, feature_image_id, course_id)
SELECT i, '<p>' || repeat(pg_temp.subject(i) || '. ', 1 + (i % 12)::int) || '</p>', '12 weeks', CASE WHEN i % 3 > 0 THEN (2 + i % 10) || ' h/week' END,
       jsonb_build_array(jsonb_build_object('type', 'price_details', 'value', jsonb_build_object('text', '$' || i, 'link', ''))),
       NULL, NULL, repeat('<b>About</b> ünïcödé ', (i % 30)::int), '', 'Meet your instructors', 'https://video.example/' || i,
       1 + i % (:pages / 2), i
FROM generate_series(1, :courses) AS i;

INSERT INTO cms_instructorpage (page_ptr_id, instructor_name, instructor_title, instructor_bio_short, instructor_bio_long, feature_image_id)
SELECT :courses + i, pg_temp.given_name(i) || ' ' || pg_temp.family_name(i), 'Professor of ' || pg_temp.subject(i), repeat('bio ', i), NULL, NULL
FROM generate_series(1, 30) AS i;

INSERT INTO b2b_organizationpage (page_ptr_id, name, org_key, description, logo, sso_organization_id)
SELECT :courses + 30 + i, pg_temp.family_name(i) || ' GmbH', 'ORG' || i, '', NULL, CASE WHEN i % 2 = 0 THEN md5('org ' || i)::uuid END
FROM generate_series(1, 10) AS i;

INSERT INTO b2b_contractpage (page_ptr_id, name, description, active, membership_type, contract_start, contract_end, max_learners,
                              enrollment_fixed_price, email_domains, organization_id)
SELECT :courses + 40 + i, 'Contract ' || i, '', i % 2 = 0, (ARRAY['managed', 'code', 'auto'])[1 + i % 3], date '2024-01-01' + i::int,
       CASE WHEN i % 4 = 0 THEN 'infinity'::date ELSE date '2026-01-01' + i::int END, CASE WHEN i % 3 = 0 THEN 100 * i END,
       1234567890123456789012345678.0123456789 / i, CASE WHEN i % 2 = 0 THEN ARRAY['example.org', 'exämple.de'] END, :courses + 31 + i % 10
FROM generate_series(1, 20) AS i;

INSERT INTO reversion_revision (id, date_created, comment, user_id)
SELECT i, pg_temp.moment(i, 200), CASE WHEN i % 4 = 0 THEN 'Geändert.' ELSE '' END, CASE WHEN i % 3 > 0 THEN 1 + i % 40 END
FROM generate_series(1, :versions / 2) AS i;

INSERT INTO reversion_version (id, object_id, format, serialized_data, object_repr, db, content_type_id, revision_id)
SELECT i, (1 + i % :runs)::text, 'json',
       jsonb_build_array(jsonb_build_object('model', 'ecommerce.product', 'pk', 1 + i % :runs, 'fields', jsonb_build_object(
           'created_on', pg_temp.moment(i, 210), 'price', (pg_temp.pick(i, 211, 100000) / 100.0)::text, 'is_active', i % 3 > 0,
           'description', pg_temp.subject(i), 'checksum', md5(i::text) || md5((i + 1)::text))))::text,
       'Product object (' || (1 + i % :runs) || ')', 'default', 6, 1 + (i - 1) / 2
FROM generate_series(1, :versions) AS i;

INSERT INTO courses_courserun_archive (id, courseware_id, archived_on, kept_until, opened_at, size_bytes, checksum, ratio, labels, grid)
SELECT i, 'course-v1:DemoX+Old' || i,
       CASE i % 8 WHEN 0 THEN '4713-01-01 BC'::date WHEN 1 THEN '0001-01-01'::date WHEN 2 THEN '9999-12-31'::date WHEN 3 THEN '10000-01-01'::date
                  WHEN 4 THEN 'infinity'::date WHEN 5 THEN NULL ELSE date '1970-01-01' - i::int END,
       CASE i % 6 WHEN 0 THEN 'infinity'::timestamp WHEN 1 THEN '-infinity'::timestamp WHEN 2 THEN '4713-01-01 00:00:00 BC'::timestamp
                  WHEN 3 THEN '15000-01-01 00:00:00.000001'::timestamp ELSE timestamp '1969-12-31 23:59:59.999999' - i * interval '1 day' END,
       CASE i % 3 WHEN 0 THEN time '24:00:00' WHEN 1 THEN time '00:00:00' ELSE time '12:34:56.789012' END,
       9223372036854775807 - i, decode(md5('archive ' || i), 'hex'),
       CASE i % 5 WHEN 0 THEN 'NaN'::real WHEN 1 THEN '-Infinity'::real ELSE (i / 3.0)::real END,
       ARRAY[pg_temp.given_name(i), NULL, '', 'null', '{brace}', 'comma,', 'quote"'],
       CASE i % 3 WHEN 0 THEN ARRAY[[1, 2], [3, NULL]] WHEN 1 THEN ARRAY[1, 2, 3] ELSE '[0:2]={7,8,9}'::integer[] END
FROM generate_series(1, 500) AS i;
