-- Foreign keys of the demo database, checked by the server over the rows that data.sql made; then the planner's figures.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

ALTER TABLE users_legaladdress ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE users_userprofile ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE openedx_openedxuser ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE courses_coursestopic ADD FOREIGN KEY (parent_id) REFERENCES courses_coursestopic;
ALTER TABLE courses_programrun ADD FOREIGN KEY (program_id) REFERENCES courses_program;
ALTER TABLE courses_course_departments
    ADD FOREIGN KEY (course_id) REFERENCES courses_course,
    ADD FOREIGN KEY (department_id) REFERENCES courses_department;
ALTER TABLE courses_programrequirement
    ADD FOREIGN KEY (course_id) REFERENCES courses_course,
    ADD FOREIGN KEY (program_id) REFERENCES courses_program;
ALTER TABLE courses_blockedcountry ADD FOREIGN KEY (course_id) REFERENCES courses_course;
ALTER TABLE courses_courserun ADD FOREIGN KEY (course_id) REFERENCES courses_course;
ALTER TABLE courses_courserunenrollment
    ADD FOREIGN KEY (run_id) REFERENCES courses_courserun,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE courses_courserunenrollmentaudit
    ADD FOREIGN KEY (enrollment_id) REFERENCES courses_courserunenrollment,
    ADD FOREIGN KEY (acting_user_id) REFERENCES users_user;
ALTER TABLE courses_courserungrade
    ADD FOREIGN KEY (course_run_id) REFERENCES courses_courserun,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE courses_courseruncertificate
    ADD FOREIGN KEY (course_run_id) REFERENCES courses_courserun,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE courses_programenrollment
    ADD FOREIGN KEY (program_id) REFERENCES courses_program,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE courses_programcertificate
    ADD FOREIGN KEY (program_id) REFERENCES courses_program,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE ecommerce_product ADD FOREIGN KEY (content_type_id) REFERENCES django_content_type;
ALTER TABLE ecommerce_basket ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE ecommerce_basketitem
    ADD FOREIGN KEY (basket_id) REFERENCES ecommerce_basket,
    ADD FOREIGN KEY (product_id) REFERENCES ecommerce_product;
ALTER TABLE ecommerce_order ADD FOREIGN KEY (purchaser_id) REFERENCES users_user;
ALTER TABLE ecommerce_line
    ADD FOREIGN KEY (order_id) REFERENCES ecommerce_order,
    ADD FOREIGN KEY (product_version_id) REFERENCES reversion_version,
    ADD FOREIGN KEY (purchased_content_type_id) REFERENCES django_content_type;
ALTER TABLE ecommerce_transaction ADD FOREIGN KEY (order_id) REFERENCES ecommerce_order;
ALTER TABLE ecommerce_discountredemption
    ADD FOREIGN KEY (redeemed_by_id) REFERENCES users_user,
    ADD FOREIGN KEY (redeemed_discount_id) REFERENCES ecommerce_discount,
    ADD FOREIGN KEY (redeemed_order_id) REFERENCES ecommerce_order;
ALTER TABLE ecommerce_userdiscount
    ADD FOREIGN KEY (discount_id) REFERENCES ecommerce_discount,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE flexiblepricing_flexiblepricetier
    ADD FOREIGN KEY (courseware_content_type_id) REFERENCES django_content_type,
    ADD FOREIGN KEY (discount_id) REFERENCES ecommerce_discount;
ALTER TABLE flexiblepricing_flexibleprice
    ADD FOREIGN KEY (tier_id) REFERENCES flexiblepricing_flexiblepricetier,
    ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE wagtailimages_image ADD FOREIGN KEY (uploaded_by_user_id) REFERENCES users_user;
ALTER TABLE wagtailcore_page
    ADD FOREIGN KEY (content_type_id) REFERENCES django_content_type,
    ADD FOREIGN KEY (owner_id) REFERENCES users_user;
ALTER TABLE cms_coursepage
    ADD FOREIGN KEY (page_ptr_id) REFERENCES wagtailcore_page,
    ADD FOREIGN KEY (feature_image_id) REFERENCES wagtailimages_image,
    ADD FOREIGN KEY (course_id) REFERENCES courses_course;
ALTER TABLE cms_instructorpage ADD FOREIGN KEY (page_ptr_id) REFERENCES wagtailcore_page;
ALTER TABLE reversion_revision ADD FOREIGN KEY (user_id) REFERENCES users_user;
ALTER TABLE reversion_version
    ADD FOREIGN KEY (content_type_id) REFERENCES django_content_type,
    ADD FOREIGN KEY (revision_id) REFERENCES reversion_revision;
ALTER TABLE b2b_organizationpage ADD FOREIGN KEY (page_ptr_id) REFERENCES wagtailcore_page;
ALTER TABLE b2b_contractpage
    ADD FOREIGN KEY (page_ptr_id) REFERENCES wagtailcore_page,
    ADD FOREIGN KEY (organization_id) REFERENCES b2b_organizationpage;

ANALYZE;
