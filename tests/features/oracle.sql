-- The warehouse team's own account of the features: each block selects a customer and columns named
-- as the features. It reads the raw files (views raw_<table>) with timestamps and intervals, nothing
-- of features/. The moment is getvariable('as_of'); a macro says what the bank knew then.

create macro now_() as getvariable('as_of')::timestamp;
create macro known(event_time, available_at) as
  event_time < now_() and (available_at is null or available_at::timestamp <= now_());
create macro days_since(moment) as date_diff('microsecond', moment, now_()) / 86400e6;
create macro seen(moment) as case when moment::timestamp <= now_() then moment::timestamp end;
create macro owner_of(id) as coalesce((select customer_id from raw_identities where identity = id), id);

create view clients as
  select * from raw_customers
  where (joined_at is null or joined_at::timestamp <= now_())
    and (valid_from is null or valid_from::timestamp <= now_())
    and (valid_to is null or valid_to::timestamp > now_())
    and (available_at is null or available_at::timestamp <= now_());

create view touches as
  select owner_of(customer_id) as customer_id, event_time::timestamp as t, channel, kind, product,
         session_id, wait_s::double as wait_s, duration_s::double as duration_s, error_code
  from raw_interactions where known(event_time::timestamp, available_at);
create view year_touches as select * from touches where t >= now_() - interval 365 day;

create view bought as
  select customer_id, product, event_time::timestamp as t, seen(closed_at) as closed_at,
         amount_cny::decimal(18, 2) as amount_cny, maturity_at::timestamp as maturity_at
  from raw_holdings where known(event_time::timestamp, available_at);

create view money as
  select customer_id, kind, direction, amount_cny::decimal(18, 2) as amount, event_time::timestamp as t
  from raw_transactions
  where known(event_time::timestamp, available_at) and event_time::timestamp >= now_() - interval 365 day;

create view approached as
  select owner_of(customer_id) as customer_id, channel, event_time::timestamp as t,
         seen(delivered_at) as delivered_at, seen(responded_at) as responded_at,
         seen(refused_at) as refused_at, seen(opted_out_at) as opted_out_at
  from raw_contacts
  where known(event_time::timestamp, available_at) and event_time::timestamp >= now_() - interval 365 day
    and channel <> 'none';

create view told_balances as
  select customer_id, asset_class, balance_cny::decimal(18, 2) as balance, event_time::timestamp as t
  from raw_balances where known(event_time::timestamp, available_at);

create macro held_then(bought_at, closed_at, months) as
  days_since(bought_at) > months * 30.4375
  and (closed_at is null or days_since(closed_at) < months * 30.4375);

create macro category_of(product) as case
  when product in ('deposit_3m', 'deposit_1y', 'cd_3y') then 'deposit'
  when product in ('cash_plus', 'wealth_r2') then 'wealth'
  when product in ('fund_r2', 'fund_r3', 'fund_r4') then 'fund'
  when product = 'gold_saving' then 'metal'
  when product in ('annuity_insurance', 'health_insurance') then 'insurance'
  when product in ('credit_card', 'card_instalment') then 'card'
  when product in ('consumer_loan', 'mortgage') then 'loan'
  when product = 'payroll_account' then 'payroll'
  when product = 'pension_account' then 'pension'
  when product in ('mobile_payment', 'bill_autopay') then 'payment' end;

create macro balances_before(lag_days) as table
  select customer_id, asset_class, balance_cny::decimal(18, 2) as balance
  from raw_balances
  where known(event_time::timestamp, available_at)
    and event_time::timestamp < now_() - to_days(lag_days)
  qualify row_number() over (partition by customer_id, asset_class order by event_time::timestamp desc) = 1;

-- block: who the customer is
select customer_id,
       date_diff('day', birth_date::date, (now_() + interval 8 hour)::date) / 365.2425 as age_years,
       days_since(joined_at::timestamp) / (365.2425 / 12) as months_with_bank,
       income_cny::double as declared_income_cny,
       month(now_() + interval 8 hour) as month_of_year
from clients
qualify row_number() over (partition by customer_id order by valid_from desc nulls last) = 1;

-- block: interactions
select c.customer_id,
       count(t) filter (where t >= now_() - interval 1 day) as interactions_1d,
       count(t) filter (where t >= now_() - interval 7 day) as interactions_7d,
       count(t) filter (where t >= now_() - interval 30 day) as interactions_30d,
       count(t) as interactions_365d,
       count(*) filter (where kind = 'login' and t >= now_() - interval 30 day) as login_count_30d,
       count(*) filter (where kind = 'browse' and t >= now_() - interval 30 day) as browse_count_30d,
       count(*) filter (where kind = 'service' and t >= now_() - interval 90 day) as service_count_90d,
       count(*) filter (where kind = 'apply') as apply_count_365d,
       count(*) filter (where kind = 'complete' and t >= now_() - interval 90 day) as complete_count_90d,
       days_since(max(t)) as days_since_interaction,
       days_since(max(t) filter (where kind = 'apply')) as days_since_apply,
       count(*) filter (where kind in ('browse', 'inquiry') and t >= now_() - interval 30 day
                        and product in ('deposit_3m', 'deposit_1y', 'cd_3y')) as views_deposit_30d,
       count(*) filter (where kind in ('browse', 'inquiry') and t >= now_() - interval 30 day
                        and product in ('fund_r2', 'fund_r3', 'fund_r4')) as views_fund_30d,
       3 * count(t) filter (where t >= now_() - interval 30 day)
         / nullif(count(t) filter (where t >= now_() - interval 90 day), 0) as interaction_trend_30d
from (select distinct customer_id from clients) c left join year_touches using (customer_id)
group by all;

-- block: channels
select c.customer_id,
       count(*) filter (where t >= now_() - interval 90 day
                        and channel in ('mobile_bank', 'push', 'wechat_bank', 'sms'))
         as online_interactions_90d,
       count(*) filter (where t >= now_() - interval 90 day and channel in
           ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager', 'wealth_manager',
            'loan_manager'))
         / nullif(count(t) filter (where t >= now_() - interval 90 day), 0) as offline_share_90d,
       count(distinct channel) filter (where t >= now_() - interval 90 day) as channels_used_90d,
       days_since(max(t) filter (where channel = 'teller')) as days_since_teller,
       days_since(max(t) filter (where channel = 'mobile_bank')) as days_since_mobile_bank,
       count(*) filter (where channel = 'teller' and kind in ('apply', 'step', 'service'))
         as teller_choices_365d,
       count(*) filter (where channel = 'wechat_bank' and t >= now_() - interval 90 day)
         as wechat_bank_interactions_90d
from (select distinct customer_id from clients) c left join year_touches using (customer_id)
group by all;

-- block: friction
select c.customer_id,
       max(wait_s) filter (where t >= now_() - interval 90 day) as longest_wait_90d_s,
       count(*) filter (where wait_s > 1200 and t >= now_() - interval 90 day) as long_waits_90d,
       count(error_code) filter (where t >= now_() - interval 30 day) as errors_30d,
       count(*) filter (where kind = 'complete') / nullif(count(*) filter (where kind = 'apply'), 0)
         as completion_rate_365d
from (select distinct customer_id from clients) c left join year_touches using (customer_id)
group by all;

-- block: since the last purchase
select c.customer_id,
       count(t) as touches_since_purchase,
       count(distinct session_id) as sessions_since_purchase,
       count(*) filter (where channel = 'mobile_bank') as mobile_bank_since_purchase
from (select distinct customer_id from clients) c
left join (select y.* from year_touches y
           where t > coalesce((select max(b.t) from bought b where b.customer_id = y.customer_id),
                              timestamp '0001-01-01')) using (customer_id)
group by all;

-- block: balances now
select c.customer_id,
       coalesce(sum(balance), 0)::double as total_assets_cny,
       coalesce(sum(balance) filter (where asset_class = 'demand'), 0)::double as demand_balance_cny,
       coalesce(sum(balance) filter (where asset_class = 'fund'), 0)::double as fund_balance_cny,
       case when sum(balance) > 0
            then coalesce(sum(balance) filter (where asset_class = 'demand'), 0)::double
                 / sum(balance)::double end as demand_share,
       case when sum(balance) > 0
            then coalesce(sum(balance) filter (where asset_class in ('wealth', 'fund')), 0)::double
                 / sum(balance)::double end as investment_share
from (select distinct customer_id from clients) c left join balances_before(0) using (customer_id)
group by all;

-- block: balances before
select c.customer_id,
       month_ago.assets as total_assets_30d_ago_cny,
       half_year_ago.assets as total_assets_180d_ago_cny,
       case when month_ago.assets > 0
            then (coalesce(today.assets, 0) - month_ago.assets) / month_ago.assets end
         as total_assets_change_30d
from (select distinct customer_id from clients) c
left join (select customer_id, sum(balance)::double as assets from balances_before(0) group by all)
  today using (customer_id)
left join (select customer_id, sum(balance)::double as assets from balances_before(30) group by all)
  month_ago using (customer_id)
left join (select customer_id, sum(balance)::double as assets from balances_before(180) group by all)
  half_year_ago using (customer_id);

-- block: flows
select c.customer_id,
       coalesce(sum(amount) filter (where direction = 'in' and t >= now_() - interval 30 day), 0)::double
         as inflow_30d_cny,
       coalesce(sum(amount) filter (where direction = 'out' and t >= now_() - interval 90 day), 0)::double
         as outflow_90d_cny,
       (coalesce(sum(amount) filter (where direction = 'in' and t >= now_() - interval 30 day), 0)
        - coalesce(sum(amount) filter (where direction = 'out' and t >= now_() - interval 30 day), 0)
       )::double as net_flow_30d_cny,
       coalesce(max(amount) filter (where direction = 'in' and t >= now_() - interval 30 day), 0)::double
         as largest_inflow_30d_cny,
       coalesce(sum(amount) filter (where kind = 'payroll' and t >= now_() - interval 90 day), 0)::double
         as payroll_90d_cny,
       count(*) filter (where kind = 'pension' and t >= now_() - interval 90 day) as pension_count_90d,
       days_since(max(t) filter (where kind = 'payroll')) as days_since_payroll,
       coalesce(sum(amount) filter (where kind = 'spend' and t >= now_() - interval 30 day), 0)::double
         as spend_30d_cny,
       coalesce(sum(amount) filter (where kind = 'repayment' and t >= now_() - interval 90 day), 0)::double
         as repayment_90d_cny,
       count(t) filter (where t >= now_() - interval 30 day) as transactions_30d
from (select distinct customer_id from clients) c left join money using (customer_id)
group by all;

-- block: debts
select c.customer_id,
       coalesce(sum(balance) filter (where kind = 'loan'), 0) as loan_debt_cny,
       coalesce(sum(balance) filter (where kind = 'card'), 0) as card_debt_cny,
       coalesce(sum(balance) filter (where kind = 'card'), 0)
         / nullif(sum("limit") filter (where kind = 'card'), 0) as card_limit_use
from (select distinct customer_id from clients) c
left join (select customer_id, kind, balance_cny::double as balance, limit_cny::double as "limit"
           from raw_accounts where known(event_time::timestamp, available_at)
           qualify row_number() over (partition by customer_id, kind order by event_time::timestamp desc) = 1)
  using (customer_id)
group by all;

-- block: overdue
select c.customer_id, coalesce(max(overdue_days::int), 0) as overdue_days_365d
from (select distinct customer_id from clients) c
left join (select * from raw_accounts
           where known(event_time::timestamp, available_at)
             and event_time::timestamp >= now_() - interval 365 day) using (customer_id)
group by all;

-- block: credit offered
select c.customer_id,
       count(*) filter (where expires_at::timestamp > now_()) as credit_offers_live
from (select distinct customer_id from clients) c
left join (select customer_id, offer, expires_at from raw_credit_offers
           where known(event_time::timestamp, available_at)
           qualify row_number() over (partition by customer_id, offer order by event_time::timestamp desc) = 1)
  using (customer_id)
group by all;

-- block: contacts
select c.customer_id,
       count(t) filter (where t >= now_() - interval 30 day) as contacts_30d,
       count(*) filter (where channel in ('mobile_bank', 'push', 'wechat_bank', 'sms'))
         as online_contacts_365d,
       count(responded_at) filter (where channel in ('mobile_bank', 'push', 'wechat_bank', 'sms'))
         as online_responses_365d,
       count(responded_at) / nullif(count(t), 0) as response_rate_365d,
       days_since(max(t)) as days_since_contact,
       count(*) filter (where refused_at >= now_() - interval 180 day) as refusals_180d
from (select distinct customer_id from clients) c left join approached using (customer_id)
group by all;

-- block: ways to reach
select c.customer_id, count(*) filter (where reachable::boolean) as channels_reachable
from (select distinct customer_id from clients) c
left join (select customer_id, channel, reachable from raw_reachability
           where known(event_time::timestamp, available_at)
           qualify row_number() over (partition by customer_id, channel order by event_time::timestamp desc) = 1)
  using (customer_id)
group by all;

-- block: manager
select customer_id,
       max(exists (select 1 from raw_assignments a
                   where a.customer_id = c.customer_id and "from"::timestamp <= now_()
                     and ("to" is null or "to"::timestamp > now_())
                     and (a.available_at is null or a.available_at::timestamp <= now_()))::int)
         as has_manager
from clients c group by all;

-- block: holdings
select c.customer_id,
       count(distinct product) filter (where closed_at is null) as products_held,
       count(t) as purchases_ever,
       count(t) filter (where t >= now_() - interval 90 day) as purchases_90d,
       days_since(max(t)) as days_since_purchase,
       count(*) filter (where closed_at >= now_() - interval 90 day) as closed_90d,
       count(*) filter (where product = 'deposit_1y' and closed_at is null) as holds_deposit_1y,
       count(*) filter (where product = 'deposit_1y') as purchases_deposit_1y,
       count(*) filter (where product = 'credit_card' and closed_at is null) as holds_credit_card,
       days_since(max(t) filter (where product = 'cash_plus')) as days_since_cash_plus_purchase
from (select distinct customer_id from clients) c left join bought using (customer_id)
group by all;

-- block: maturities
select c.customer_id,
       -max(days_since(maturity_at)) filter (where closed_at is null and maturity_at >= now_())
         as days_to_maturity,
       coalesce(sum(amount_cny) filter (where closed_at is null and maturity_at >= now_()
                and maturity_at <= now_() + interval 7 day), 0)::double as maturing_7d_cny,
       coalesce(sum(amount_cny) filter (where closed_at is null and maturity_at >= now_()
                and maturity_at <= now_() + interval 30 day), 0)::double as maturing_30d_cny,
       coalesce(sum(amount_cny) filter (where maturity_at < now_()
                and maturity_at >= now_() - interval 30 day), 0)::double as matured_30d_cny
from (select distinct customer_id from clients) c left join bought using (customer_id)
group by all;

-- block: risk
select c.customer_id,
       max(level[2]::int) as risk_tolerance,
       -max(days_since(expires_at::timestamp)) as days_to_assessment_expiry
from (select distinct customer_id from clients) c
left join (select customer_id, level, expires_at from raw_risk_assessments
           where known(event_time::timestamp, available_at)
           qualify row_number() over (partition by customer_id order by event_time::timestamp desc) = 1)
  using (customer_id)
group by all;

-- block: what customers say
select c.customer_id,
       avg(score::int) as mean_rating_365d,
       count(*) filter (where score::int <= 2 and t >= now_() - interval 90 day) as low_ratings_90d,
       count(*) filter (where complaint::boolean and resolved_at is null) as open_complaints,
       days_since(max(t) filter (where complaint::boolean)) as days_since_complaint
from (select distinct customer_id from clients) c
left join (select customer_id, score, complaint, event_time::timestamp as t, seen(resolved_at) as resolved_at
           from raw_ratings
           where known(event_time::timestamp, available_at)
             and event_time::timestamp >= now_() - interval 365 day) using (customer_id)
group by all;

-- block: benefits
select c.customer_id,
       count(*) filter (where kind = 'granted') as benefits_granted_90d,
       count(*) filter (where kind = 'used') as benefits_used_90d
from (select distinct customer_id from clients) c
left join (select * from raw_benefits
           where known(event_time::timestamp, available_at)
             and event_time::timestamp >= now_() - interval 90 day) using (customer_id)
group by all;

-- block: assets day by day
with day_ends as (
  select customer_id, asset_class, k,
         date_trunc('day', now_() + interval 8 hour) - to_days(k::int) - interval 8 hour as day_end
  from (select distinct customer_id, asset_class from told_balances), range(180) days(k)),
closing as (
  select d.customer_id, d.k, sum(b.balance) as assets
  from day_ends d asof join told_balances b
    on d.customer_id = b.customer_id and d.asset_class = b.asset_class and d.day_end > b.t
  group by all),
daily as (
  select customer_id,
         coalesce(sum(assets) filter (where k < 30), 0)::double / 30 as last_30,
         coalesce(sum(assets) filter (where k >= 30 and k < 120), 0)::double / 90 as before_30,
         coalesce(sum(assets) filter (where k < days_of_month), 0)::double / nullif(days_of_month, 0)
           as this_month,
         max(assets)::double as peak, stddev_pop(assets::double) as deviation, avg(assets) as mean
  from (select customer_id from told_balances group by all) left join closing using (customer_id),
       (select day(now_() + interval 8 hour) - 1 as days_of_month)
  group by customer_id, days_of_month)
select c.customer_id,
       coalesce(last_30, 0) as average_assets_30d_cny,
       coalesce(before_30, 0) as average_assets_before_30d_cny,
       this_month as average_assets_month_cny,
       peak as peak_assets_180d_cny,
       case when mean > 0 then deviation / mean end as asset_volatility_180d,
       case when before_30 > 0 then (last_30 - before_30) / before_30 end as average_assets_change,
       case when peak > 0 then last_30 / peak end as average_assets_to_peak,
       len(list_filter([10000, 50000, 200000, 500000, 1000000, 6000000],
                       lambda floor: floor <= coalesce(this_month, last_30, 0))) as asset_tier
from (select distinct customer_id from clients) c left join daily using (customer_id);

-- block: idle money
select c.customer_id,
       coalesce(least(coalesce(max_by(balance, t) filter (where t <= now_() - interval 30 day), 0),
                      min(balance) filter (where t > now_() - interval 30 day)), 0)::double
         as lowest_demand_30d_cny
from (select distinct customer_id from clients) c
left join (select * from told_balances where asset_class = 'demand') using (customer_id)
group by all;

-- block: salary
select c.customer_id,
       avg(amount) filter (where t >= now_() - interval 180 day) as payroll_mean_180d_cny,
       stddev_pop(amount::double) filter (where t >= now_() - interval 180 day)
         as payroll_deviation_180d_cny,
       (days_since(min(t) filter (where t >= now_() - interval 180 day)) - days_since(max(t)))
         / nullif(count(*) filter (where t >= now_() - interval 180 day) - 1, 0) as payroll_gap_days,
       count(distinct ceil(days_since(t) / 30.4375)) filter (where days_since(t) <= 3 * 30.4375)
         as payroll_months_3m,
       count(distinct ceil(days_since(t) / 30.4375)) filter (where days_since(t) <= 6 * 30.4375)
         as payroll_months_6m
from (select distinct customer_id from clients) c
left join (from money where kind = 'payroll') using (customer_id)
group by all;

-- block: main bank
select c.customer_id,
       bool_or(coalesce(kind = 'payroll', false))::int as payroll_active_90d,
       bool_or(coalesce(kind = 'repayment', false))::int as repayment_active_90d,
       bool_or(coalesce(kind = 'bill', false))::int as bill_active_90d,
       bool_or(coalesce(kind = 'spend', false))::int as card_active_90d,
       count(distinct kind) filter (where kind in ('payroll', 'repayment', 'bill', 'spend'))
         as main_bank_degree,
       count(distinct kind) as transaction_kinds_90d,
       coalesce(sum(amount) filter (where kind = 'payroll' and direction = 'in'), 0)
         / nullif(sum(amount) filter (where direction = 'in'), 0)::double as payroll_share_of_inflow_90d,
       coalesce(sum(amount) filter (where kind = 'spend'), 0)
         / nullif(sum(amount) filter (where direction = 'in'), 0)::double as spend_to_inflow_90d,
       coalesce(sum(amount) filter (where kind = 'transfer_out' and direction = 'out'), 0)
         / nullif(sum(amount) filter (where direction = 'out'), 0)::double as transfer_out_share_90d
from (select distinct customer_id from clients) c
left join (from money where t >= now_() - interval 90 day) using (customer_id)
group by all;

-- block: large inflow
select c.customer_id, days_since(max(t)) as days_since_large_inflow
from (select distinct customer_id from clients) c
left join (from money where direction = 'in' and amount >= 50000) using (customer_id)
group by all;

-- block: rhythm
select c.customer_id,
       count(distinct (t + interval 8 hour)::date) filter (where t >= now_() - interval 30 day)
         as active_days_30d,
       count(distinct (t + interval 8 hour)::date) filter (where t >= now_() - interval 90 day)
         as active_days_90d,
       avg((hour(t + interval 8 hour) in (21, 22, 23, 0, 1, 2, 3, 4, 5))::int)
         filter (where t >= now_() - interval 90 day) as night_share_90d,
       avg((isodow(t + interval 8 hour) in (6, 7))::int) filter (where t >= now_() - interval 90 day)
         as weekend_share_90d,
       coalesce(list_min(list_filter(range(12), lambda n: not list_contains(
                  coalesce(list(ceil(days_since(t) / 30) - 1), []), n))), 12) as active_streak_periods,
       count(distinct session_id) filter (where t >= now_() - interval 30 day) as sessions_30d,
       avg(floor(duration_s + 0.5)) filter (where t >= now_() - interval 90 day) as mean_duration_90d_s
from (select distinct customer_id from clients) c left join year_touches using (customer_id)
group by all;

-- block: what was viewed
select c.customer_id,
       count(distinct product) filter (where t >= now_() - interval 30 day and kind in ('browse', 'inquiry'))
         as products_viewed_30d,
       coalesce((select max(views) from (select count(*) as views from year_touches y
                 where y.customer_id = c.customer_id and kind = 'browse' and product is not null
                   and t >= now_() - interval 7 day group by product)), 0) as repeat_views_7d
from (select distinct customer_id from clients) c left join year_touches using (customer_id)
group by all;

-- block: hand-overs
with moves as (
  select *, lag(channel) over w as came_from, lag(t) over w as t_before
  from year_touches where product is not null
  window w as (partition by customer_id, product order by t, channel)),
handed as (
  select * from moves where came_from <> channel and t <= t_before + interval 30 day)
select c.customer_id,
       count(t) filter (where t >= now_() - interval 30 day) as handovers_30d,
       count(t) as handovers_365d,
       count(t) filter (where came_from in ('mobile_bank', 'push', 'wechat_bank', 'sms')
                        and channel not in ('mobile_bank', 'push', 'wechat_bank', 'sms'))
         as handovers_to_person_365d,
       count(t) filter (where channel in ('mobile_bank', 'push', 'wechat_bank', 'sms')
                        and came_from not in ('mobile_bank', 'push', 'wechat_bank', 'sms'))
         as handovers_to_online_365d
from (select distinct customer_id from clients) c left join handed using (customer_id)
group by all;

-- block: begun and not finished
with products as (
  select customer_id, product, max(t) filter (where kind = 'apply') as applied,
         max(t) filter (where kind = 'complete') as completed,
         max(t) filter (where error_code is not null) as error
  from year_touches where product is not null group by all)
select c.customer_id,
       count(*) filter (where applied > coalesce(completed, '1970-01-01')
                        and applied >= now_() - interval 90 day) as unfinished_products_90d,
       days_since(max(applied) filter (where applied > coalesce(completed, '1970-01-01')))
         as days_since_unfinished,
       count(*) filter (where error > coalesce(completed, '1970-01-01')
                        and error >= now_() - interval 30 day) as error_stopped_products_30d
from (select distinct customer_id from clients) c left join products using (customer_id)
group by all;

-- block: app against branch
with doors as (
  select customer_id, t,
         case when channel in ('mobile_bank', 'wechat_bank') then 1.0
              when channel in ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager',
                               'wealth_manager', 'loan_manager') then 0.0 end as by_app
  from year_touches)
select c.customer_id,
       avg(by_app) filter (where t >= now_() - interval 90 day) as app_share_90d,
       avg(by_app) filter (where t >= now_() - interval 90 day)
         - avg(by_app) filter (where t < now_() - interval 90 day) as app_share_trend
from (select distinct customer_id from clients) c left join doors using (customer_id)
group by all;

-- block: how applications ended
select c.customer_id,
       count(*) filter (where kind = 'complete' and channel = 'mobile_bank')
         as mobile_bank_completions_365d,
       avg((kind = 'complete')::int) filter (where channel = 'mobile_bank')
         as mobile_bank_completion_rate_365d,
       count(*) filter (where kind = 'complete' and channel = 'teller') as teller_completions_365d,
       avg((kind = 'complete')::int) filter (where channel = 'loan_manager')
         as loan_manager_completion_rate_365d,
       count(*) filter (where kind = 'abandon' and channel in
           ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager', 'wealth_manager',
            'loan_manager')) as offline_abandons_365d
from (select distinct customer_id from clients) c
left join (from year_touches where kind in ('complete', 'abandon')) using (customer_id)
group by all;

-- block: waits and errors by channel
select c.customer_id,
       avg(floor(wait_s + 0.5)) filter (where channel in ('ai_call', 'human_call', 'wecom',
                                                          'remote_agent', 'video'))
         as remote_mean_wait_180d_s,
       avg(floor(wait_s + 0.5)) filter (where channel in
           ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager', 'wealth_manager',
            'loan_manager')) as offline_mean_wait_180d_s,
       count(error_code) filter (where channel = 'mobile_bank') as mobile_bank_errors_180d
from (select distinct customer_id from clients) c
left join (from year_touches where t >= now_() - interval 180 day) using (customer_id)
group by all;

-- block: answers to contacts
select c.customer_id,
       avg((responded_at is not null)::int) filter (where channel = 'push') as push_response_rate_365d,
       avg((responded_at is not null)::int) filter (where channel in ('mobile_bank', 'push',
                                                   'wechat_bank', 'sms')) as online_response_rate_365d,
       avg((responded_at is not null)::int) filter (where channel in
           ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager', 'wealth_manager',
            'loan_manager')) as offline_response_rate_365d,
       count(responded_at) filter (where hour(t + interval 8 hour) in (9, 10, 11))
         as morning_responses_365d,
       avg((responded_at is not null)::int) filter (where hour(t + interval 8 hour) in (9, 10, 11))
         as morning_response_rate_365d,
       avg((responded_at is not null)::int) filter (where hour(t + interval 8 hour) in (14, 15, 16, 17))
         as afternoon_response_rate_365d,
       count(responded_at) filter (where hour(t + interval 8 hour) in (18, 19, 20, 21))
         as evening_responses_365d,
       avg((delivered_at is not null)::int) filter (where t is not null) as delivered_share_365d,
       days_since(max(responded_at)) as days_since_response,
       count(opted_out_at) as opt_outs_365d
from (select distinct customer_id from clients) c left join approached using (customer_id)
group by all;

-- block: bought and closed
select c.customer_id,
       count(t) filter (where t >= now_() - interval 30 day) as purchases_30d,
       count(t) filter (where t >= now_() - interval 180 day) as purchases_180d,
       count(t) filter (where t >= now_() - interval 365 day) as purchases_365d,
       count(*) filter (where closed_at >= now_() - interval 30 day) as closed_30d,
       count(*) filter (where closed_at >= now_() - interval 365 day) as closed_365d,
       days_since(max(closed_at)) as days_since_closing,
       count(*) filter (where product = 'annuity_insurance' and t >= now_() - interval 365 day)
         as purchases_annuity_insurance_365d
from (select distinct customer_id from clients) c left join bought using (customer_id)
group by all;

-- block: held before
select c.customer_id,
       count(distinct product) filter (where held_then(t, closed_at, 1)) as products_held_1m_ago,
       count(distinct product) filter (where held_then(t, closed_at, 2)) as products_held_2m_ago,
       count(distinct product) filter (where held_then(t, closed_at, 3)) as products_held_3m_ago,
       count(distinct product) filter (where held_then(t, closed_at, 6)) as products_held_6m_ago,
       count(distinct product) filter (where held_then(t, closed_at, 12)) as products_held_12m_ago,
       count(distinct product) filter (where held_then(t, closed_at, 12) and still is null)
         as products_dropped_12m
from (select distinct customer_id from clients) c left join bought using (customer_id)
left join (select distinct customer_id, product, true as still from bought where closed_at is null)
  using (customer_id, product)
group by all;

-- block: held together
select c.customer_id,
       count(distinct category_of(product)) as categories_held,
       count(distinct product) filter (where category_of(product) = 'deposit') as deposit_products_held,
       count(distinct product) filter (where category_of(product) = 'loan') as loan_products_held,
       (list_has_all(list(category_of(product)), ['payroll', 'card']))::int as holds_payroll_and_card,
       (list_has_all(list(category_of(product)), ['loan', 'insurance']))::int
         as holds_loan_and_insurance
from (select distinct customer_id from clients) c
left join (from bought where closed_at is null) using (customer_id)
group by all;

-- block: low ratings and complaints
select c.customer_id,
       avg(score) filter (where t >= now_() - interval 90 day)
         - avg(score) filter (where t < now_() - interval 90 day) as rating_trend,
       count(*) filter (where score <= 2 and channel in ('ai_call', 'human_call', 'wecom',
                                                         'remote_agent', 'video'))
         as remote_low_ratings_365d,
       count(*) filter (where score <= 2 and channel in
           ('smart_counter', 'teller', 'lobby_manager', 'relationship_manager', 'wealth_manager',
            'loan_manager')) as offline_low_ratings_365d,
       count(*) filter (where complaint) as complaints_365d,
       avg(days_since(t) - days_since(resolved_at)) filter (where complaint) as mean_days_to_settle_365d
from (select distinct customer_id from clients) c
left join (select customer_id, channel, score::int as score, complaint::boolean as complaint,
                  event_time::timestamp as t, seen(resolved_at) as resolved_at
           from raw_ratings
           where known(event_time::timestamp, available_at)
             and event_time::timestamp >= now_() - interval 365 day) using (customer_id)
group by all;
