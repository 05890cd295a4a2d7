-- What happens on an evening: answers, new learners, grades that are taken back, certificates, posts.
SET SESSION time_zone = '+00:00';
USE edxapp;
UPDATE courseware_studentmodule SET grade = max_grade, modified = NOW(6) WHERE id % 200 = 0;
INSERT INTO student_courseenrollment (user_id, course_id, created, is_active, mode)
SELECT seq, 'course-v1:MITxT+9.99x+1T2026', NOW(6), 1, 'audit' FROM seq_1_to_1000;
DELETE FROM student_courseenrollment WHERE id % 5000 = 0;
UPDATE grades_persistentsubsectiongrade SET earned_all = 8, earned_graded = 8, modified = NOW(6) WHERE id % 300 = 0;
DELETE FROM grades_persistentcoursegrade WHERE id % 400 = 0;
INSERT INTO certificates_generatedcertificate (user_id, course_id, verify_uuid, download_uuid, download_url, grade, `key`,
    distinction, status, mode, name, created_date, modified_date, error_reason)
SELECT seq, 'course-v1:MITxT+9.99x+1T2026', MD5(RAND()), '', '', '0.93', MD5(seq), 0, 'downloadable', 'verified', 'Ada O''Brien',
       NOW(6), NOW(6), '' FROM seq_1_to_300;
USE forum;
INSERT INTO forum_commentthread (title, body, course_id, author_id, thread_type, closed, created_at, updated_at)
SELECT CONCAT('Question ', seq), 'Where is it?', 'course-v1:MITxT+9.99x+1T2026', seq, 'question', 0, NOW(6), NOW(6)
FROM seq_1_to_50;
