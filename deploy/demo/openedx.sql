-- A demo Open edX beside the demo application: names of tables and columns as the platform has them, every row made up
-- from its number. `@scale` says how many; 1 is about 1.1 million rows. The server's own log is not told of it.
SET SESSION sql_log_bin = 0, time_zone = '+00:00', unique_checks = 0, foreign_key_checks = 0;
SET @users = 60000 * @scale, @day = '2024-01-01 00:00:00';

DROP DATABASE IF EXISTS edxapp;
DROP DATABASE IF EXISTS forum;
CREATE DATABASE edxapp CHARACTER SET utf8mb4;
CREATE DATABASE forum CHARACTER SET utf8mb4;
USE edxapp;

CREATE TABLE auth_user (
    id int AUTO_INCREMENT PRIMARY KEY,
    password varchar(128) NOT NULL,
    last_login datetime(6),
    is_superuser tinyint(1) NOT NULL,
    username varchar(150) NOT NULL UNIQUE,
    first_name varchar(150) NOT NULL,
    last_name varchar(150) NOT NULL,
    email varchar(254) NOT NULL,
    is_staff tinyint(1) NOT NULL,
    is_active tinyint(1) NOT NULL,
    date_joined datetime(6) NOT NULL
);
INSERT INTO auth_user
SELECT seq, CONCAT('pbkdf2_sha256$', MD5(seq)), IF(seq % 7 = 0, NULL, @day + INTERVAL seq % 700 DAY + INTERVAL seq MICROSECOND),
       seq % 5000 = 0, CONCAT('learner_', seq), ELT(seq % 6 + 1, 'Zoë', 'José', '美咲', 'Amélie', 'Иван', 'Ada'),
       ELT(seq % 5 + 1, 'Müller', 'García', '田中', 'O''Brien', 'Петров'), CONCAT('learner', seq, '@example.org'),
       seq % 1000 = 0, seq % 50 <> 0, @day + INTERVAL seq MINUTE
FROM seq_1_to_100000000 WHERE seq <= @users;

CREATE TABLE student_courseenrollment (
    id int AUTO_INCREMENT PRIMARY KEY,
    user_id int NOT NULL,
    course_id varchar(255) NOT NULL,
    created datetime(6),
    is_active tinyint(1) NOT NULL,
    mode varchar(100) NOT NULL,
    KEY (course_id, user_id)
);
INSERT INTO student_courseenrollment
SELECT seq, CRC32(seq) % @users + 1, CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+', 1 + seq % 3, 'T2025'),
       @day + INTERVAL seq * 37 SECOND + INTERVAL CRC32(seq) % 1000000 MICROSECOND, seq % 11 <> 0, ELT(seq % 8 + 1, 'verified', 'audit', 'audit', 'audit', 'audit', 'honor',
       'audit', 'audit')
FROM seq_1_to_100000000 WHERE seq <= 4 * @users;

CREATE TABLE courseware_studentmodule (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    module_type varchar(32) NOT NULL,
    module_id varchar(255) NOT NULL,
    course_id varchar(255) NOT NULL,
    state longtext,
    grade double,
    max_grade double,
    done varchar(8) NOT NULL,
    created datetime(6) NOT NULL,
    modified datetime(6) NOT NULL,
    student_id int NOT NULL,
    KEY (modified),
    KEY (student_id)
);
INSERT INTO courseware_studentmodule
SELECT seq, ELT(seq % 4 + 1, 'problem', 'sequential', 'video', 'chapter'),
       CONCAT('block-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025+type@problem+block@', MD5(seq % 9000)),
       CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'),
       IF(seq % 4 = 3, NULL, CONCAT('{"seed": ', seq % 997, ', "attempts": ', seq % 6, ', "student_answers": {"', MD5(seq),
          '_2_1": "choice_', seq % 5, '"}, "correct_map": {"', MD5(seq), '_2_1": {"correctness": "',
          IF(seq % 3 = 0, 'incorrect', 'correct'), '", "npoints": null, "msg": "", "hint": ""}}, "input_state": {"', MD5(seq),
          '_2_1": {}}, "last_submission_time": "2025-', LPAD(seq % 12 + 1, 2, '0'), '-14T12:00:00Z"}')),
       IF(seq % 4 = 0, seq % 3, NULL), IF(seq % 4 = 0, 2, NULL), ELT(seq % 3 + 1, 'na', 'f', 'i'),
       @day + INTERVAL seq SECOND, @day + INTERVAL seq SECOND + INTERVAL CRC32(seq) % 1000000 MICROSECOND,
       CRC32(seq + 1) % @users + 1
FROM seq_1_to_100000000 WHERE seq <= 6 * @users;

CREATE TABLE grades_persistentcoursegrade (
    id bigint unsigned AUTO_INCREMENT PRIMARY KEY,
    created datetime(6) NOT NULL,
    modified datetime(6) NOT NULL,
    user_id int NOT NULL,
    course_id varchar(255) NOT NULL,
    course_edited_timestamp datetime(6),
    course_version varchar(255) NOT NULL,
    grading_policy_hash varchar(255) NOT NULL,
    percent_grade double NOT NULL,
    letter_grade varchar(255) NOT NULL,
    passed_timestamp datetime(6),
    KEY (modified)
);
INSERT INTO grades_persistentcoursegrade
SELECT seq, @day + INTERVAL seq MINUTE, @day + INTERVAL seq MINUTE + INTERVAL CRC32(seq) % 1000000000 MICROSECOND,
       CRC32(seq) % @users + 1,
       CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'), @day, MD5(seq % 40), MD5(seq % 7),
       CRC32(seq) % 101 / 100, IF(CRC32(seq) % 101 >= 60, 'Pass', ''), IF(CRC32(seq) % 101 >= 60, @day + INTERVAL seq MINUTE, NULL)
FROM seq_1_to_100000000 WHERE seq <= 2 * @users;

CREATE TABLE grades_persistentsubsectiongrade (
    id bigint unsigned AUTO_INCREMENT PRIMARY KEY,
    created datetime(6) NOT NULL,
    modified datetime(6) NOT NULL,
    user_id int NOT NULL,
    course_id varchar(255) NOT NULL,
    usage_key varchar(255) NOT NULL,
    course_version varchar(255) NOT NULL,
    earned_all double NOT NULL,
    possible_all double NOT NULL,
    earned_graded double NOT NULL,
    possible_graded double NOT NULL,
    first_attempted datetime(6),
    visible_blocks_hash varchar(100) NOT NULL,
    KEY (modified)
);
INSERT INTO grades_persistentsubsectiongrade
SELECT seq, @day + INTERVAL seq SECOND, @day + INTERVAL seq SECOND + INTERVAL CRC32(seq) % 300000000 MICROSECOND,
       CRC32(seq) % @users + 1,
       CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'),
       CONCAT('block-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025+type@sequential+block@', MD5(seq % 400)),
       MD5(seq % 40), CRC32(seq) % 9, 8, CRC32(seq) % 9, 8, IF(seq % 3 = 0, NULL, @day + INTERVAL seq SECOND), MD5(seq % 60)
FROM seq_1_to_100000000 WHERE seq <= 4 * @users;

CREATE TABLE certificates_generatedcertificate (
    id int AUTO_INCREMENT PRIMARY KEY,
    user_id int NOT NULL,
    course_id varchar(255) NOT NULL,
    verify_uuid varchar(32) NOT NULL,
    download_uuid varchar(32) NOT NULL,
    download_url varchar(128) NOT NULL,
    grade varchar(5) NOT NULL,
    `key` varchar(32) NOT NULL,
    distinction tinyint(1) NOT NULL,
    status varchar(32) NOT NULL,
    mode varchar(32) NOT NULL,
    name varchar(255) NOT NULL,
    created_date datetime(6) NOT NULL,
    modified_date datetime(6) NOT NULL,
    error_reason varchar(512) NOT NULL,
    KEY (modified_date)
);
INSERT INTO certificates_generatedcertificate
SELECT seq, seq % @users + 1, CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'), MD5(seq), '', '',
       LEFT(0.6 + seq % 40 / 100, 4), MD5(seq + 1), 0, IF(seq % 30 = 0, 'notpassing', 'downloadable'), 'verified',
       ELT(seq % 4 + 1, 'Zoë Müller', '田中 美咲', 'Иван Петров', 'Ada O''Brien'), @day + INTERVAL seq * 9 MINUTE,
       @day + INTERVAL seq * 9 MINUTE, ''
FROM seq_1_to_100000000 WHERE seq <= @users / 2;

USE forum;
CREATE TABLE forum_commentthread (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    title varchar(1024) NOT NULL,
    body longtext NOT NULL,
    course_id varchar(255) NOT NULL,
    author_id int NOT NULL,
    thread_type varchar(50) NOT NULL,
    closed tinyint(1) NOT NULL,
    pinned tinyint(1),
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    KEY (updated_at)
);
INSERT INTO forum_commentthread
SELECT seq, CONCAT('How does exercise ', seq % 90, ' work? 🤔'), REPEAT(CONCAT('I tried case ', seq, '. '), seq % 12 + 1),
       CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'), seq % @users + 1,
       IF(seq % 3 = 0, 'question', 'discussion'), seq % 40 = 0, IF(seq % 2 = 0, NULL, 0), @day + INTERVAL seq * 20 MINUTE,
       @day + INTERVAL seq * 20 MINUTE + INTERVAL 1 DAY
FROM seq_1_to_100000000 WHERE seq <= @users / 3;

CREATE TABLE forum_comment (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    body longtext NOT NULL,
    course_id varchar(255) NOT NULL,
    author_id int NOT NULL,
    comment_thread_id bigint NOT NULL,
    endorsed tinyint(1) NOT NULL,
    depth int unsigned,
    sort_key varchar(255),
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL
);
INSERT INTO forum_comment
SELECT seq, REPEAT(CONCAT('See page ', seq % 300, '. '), seq % 9 + 1),
       CONCAT('course-v1:MITxT+', 6 + seq % 18, '.', seq % 40, 'x+1T2025'), seq % @users + 1, seq % FLOOR(@users / 3) + 1,
       seq % 25 = 0, 0, LPAD(seq, 12, '0'), @day + INTERVAL seq * 7 MINUTE, @day + INTERVAL seq * 7 MINUTE
FROM seq_1_to_100000000 WHERE seq <= @users;
